// The largest value of each window of 2³ voxels.   x [N·C,D,H,W] → y [N·C,D/2,H/2,W/2], rounded down
//   y[p] = max_k x[2p + k], k in {0,1}³
//   dx[q] = dy[q/2] where x[q] is the largest of its window, or the first of several; else, and in a last odd
//           plane, 0
//
// A workgroup (h, d, plane) takes a row of windows, an invocation a window; backward, incomplete windows too.

alias real = f32;

override WG: u32 = 64;

struct Params {
  size: vec3u,              // D, H, W
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read_write> y: array<real>;
@group(0) @binding(2) var<storage, read> dy: array<real>;
@group(0) @binding(3) var<storage, read_write> dx: array<real>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let half = params.size / 2u;
  for (var w = lane; w < half.z; w += WG) {
    let p = vec3u(group.yx, w);
    y[index(group.z, p, half)] = real(largest(group.z, p).value);
  }
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let size = params.size;
  for (var w = lane; 2u * w < size.z; w += WG) {
    let p = vec3u(group.yx, w);
    let whole = all(p < size / 2u);
    let largest = largest(group.z, select(vec3u(), p, whole)).k;
    let slope = dy[index(group.z, select(vec3u(), p, whole), size / 2u)];
    for (var k = 0u; k < 8u; k++) {
      let q = corner(p, k);
      if (all(q < size)) { dx[index(group.z, q, size)] = select(real(0), slope, whole && k == largest); }
    }
  }
}

struct Largest { value: f32, k: u32 }

// The largest value of the window p, and its place in the window. NaN counts as the largest.
fn largest(plane: u32, p: vec3u) -> Largest {
  var best = Largest(f32(x[index(plane, corner(p, 0u), params.size)]), 0u);
  for (var k = 1u; k < 8u; k++) {
    let value = f32(x[index(plane, corner(p, k), params.size)]);
    if (value > best.value || value != value) { best = Largest(value, k); }
  }
  return best;
}

// The k-th voxel of the window p.
fn corner(p: vec3u, k: u32) -> vec3u { return 2u * p + vec3u(k / 4u, k / 2u % 2u, k % 2u); }

fn index(plane: u32, p: vec3u, size: vec3u) -> u32 {
  return ((plane * size.x + p.x) * size.y + p.y) * size.z + p.z;
}
