// Every voxel becomes 2³ of its value.   x [N·C,D,H,W] → y [N·C,2D,2H,2W]
//   y[p] = x[p/2]        dx[q] = Σ_k dy[2q + k], k in {0,1}³

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
  let p = vec3u(i / (wide.y * wide.z) % wide.x, i / wide.z % wide.y, i % wide.z);
  y[i] = x[index(i / (wide.x * wide.y * wide.z), p / 2u, size)];
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx)) { return; }
  let size = params.size;
  let plane = i / (size.x * size.y * size.z);
  let q = vec3u(i / (size.y * size.z) % size.x, i / size.z % size.y, i % size.z);
  var sum = 0.0;
  for (var k = 0u; k < 8u; k++) {
    sum += dy[index(plane, 2u * q + vec3u(k / 4u, k / 2u % 2u, k % 2u), 2u * size)];
  }
  dx[i] = sum;
}

fn index(plane: u32, p: vec3u, size: vec3u) -> u32 {
  return ((plane * size.x + p.x) * size.y + p.y) * size.z + p.z;
}
