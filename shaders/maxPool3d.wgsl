// Of each window of 2³ voxels the largest value.   x [N·C,D,H,W] → y [N·C,D/2,H/2,W/2], odd sizes rounded down
//   y[p] = max_k x[2p + k], k in {0,1}³
//   dx[q] = dy[q/2] where x[q] is the largest of its window, the first of equal ones; else 0, as in a last odd plane
//
// An invocation does one output; backward, one voxel of dx, for which it looks at the whole window again.

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
  let half = params.size / 2u;
  let p = vec3u(i / (half.y * half.z) % half.x, i / half.z % half.y, i % half.z);
  y[i] = x[largest(index(i / (half.x * half.y * half.z), 2u * p, params.size))];
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx)) { return; }
  let size = params.size;
  let plane = i / (size.x * size.y * size.z);
  let p = vec3u(i / (size.y * size.z) % size.x, i / size.z % size.y, i % size.z) / 2u;
  dx[i] = 0.0;
  if (any(p >= size / 2u)) { return; }
  if (largest(index(plane, 2u * p, size)) == i) { dx[i] = dy[index(plane, p, size / 2u)]; }
}

fn index(plane: u32, p: vec3u, size: vec3u) -> u32 {
  return ((plane * size.x + p.x) * size.y + p.y) * size.z + p.z;
}

// Where in x the largest value is of the window that begins at `corner`. A NaN is larger than all else.
fn largest(corner: u32) -> u32 {
  var best = corner;
  for (var k = 1u; k < 8u; k++) {
    let i = corner + ((k / 4u) * params.size.y + k / 2u % 2u) * params.size.z + k % 2u;
    best = select(best, i, x[i] > x[best] || x[i] != x[i]);
  }
  return best;
}
