// Every voxel becomes 2³ of its value.   x [N·C,D,H,W] → y [N·C,2D,2H,2W]
//   y[p] = x[p/2]        dx[q] = Σ_k dy[2q + k], k in {0,1}³
//
// A workgroup (h, d, plane) takes a row of x and writes its four rows of y, an invocation the four elements
// at a place along W; backward, the row itself.

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
  let width = 2u * params.size.z;
  let source = row(group.z, group.yx, params.size);
  for (var w = lane; w < width; w += WG) {
    let value = x[source + w / 2u];
    for (var k = 0u; k < 4u; k++) { y[wideRow(group, k) + w] = value; }
  }
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let to = row(group.z, group.yx, params.size);
  for (var w = lane; w < params.size.z; w += WG) {
    var sum = 0.0;
    for (var k = 0u; k < 8u; k++) { sum += f32(dy[wideRow(group, k / 2u) + 2u * w + k % 2u]); }
    dx[to + w] = real(sum);
  }
}

// The start in y of the k-th of the four rows of a workgroup's row of x.
fn wideRow(group: vec3u, k: u32) -> u32 {
  return row(group.z, 2u * group.yx + vec2u(k / 2u, k % 2u), 2u * params.size);
}

// The start of the row (d, h) of a plane.
fn row(plane: u32, at: vec2u, size: vec3u) -> u32 {
  return ((plane * size.x + at.x) * size.y + at.y) * size.z;
}
