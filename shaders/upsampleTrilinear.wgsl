// Twice the size by linear interpolation between voxel centres.   x [N·C,D,H,W] → y [N·C,2D,2H,2W]
// Along one axis output p lies a quarter of a voxel from input p/2, towards p/2 - 1 if p is even, p/2 + 1 if odd:
//   y[p] = ¾ x[p/2] + ¼ x[far(p)]        far(p) is that neighbour, at the border p/2 itself
//   dx[q] = Σ_p (¾ [p/2 = q] + ¼ [far(p) = q]) dy[p], p in 2q-1 … 2q+2
// In three dimensions the weights are products.

override WG: u32 = 64;

struct Params {
  size: vec3u,              // D, H, W
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  let size = params.size;
  let wide = 2u * size;
  let plane = i / (wide.x * wide.y * wide.z);
  let p = vec3u(i / (wide.y * wide.z) % wide.x, i / wide.z % wide.y, i % wide.z);
  var sum = 0.0;
  for (var k = 0u; k < 8u; k++) {
    let further = vec3u(k / 4u, k / 2u % 2u, k % 2u) == vec3u(1u);
    let weight = select(vec3f(0.75), vec3f(0.25), further);
    sum += weight.x * weight.y * weight.z * x[index(plane, select(p / 2u, far(p), further), size)];
  }
  y[i] = sum;
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx)) { return; }
  let size = params.size;
  let plane = i / (size.x * size.y * size.z);
  let q = vec3u(i / (size.y * size.z) % size.x, i / size.z % size.y, i % size.z);
  var sum = 0.0;
  for (var k = 0u; k < 64u; k++) {
    let p = 2u * q + vec3u(k / 16u, k / 4u % 4u, k % 4u) - 1u;     // beyond 2·size where it would be -1
    if (any(p >= 2u * size)) { continue; }
    let weight = select(vec3f(), vec3f(0.75), p / 2u == q) + select(vec3f(), vec3f(0.25), far(p) == q);
    sum += weight.x * weight.y * weight.z * dy[index(plane, p, 2u * size)];
  }
  dx[i] = sum;
}

fn far(p: vec3u) -> vec3u {
  let q = p / 2u;
  return select(max(q, vec3u(1u)) - 1u, min(q + 1u, params.size - 1u), p % 2u == vec3u(1u));
}

fn index(plane: u32, p: vec3u, size: vec3u) -> u32 {
  return ((plane * size.x + p.x) * size.y + p.y) * size.z + p.z;
}
