// The channels of a, then those of b.   a [N,A,V], b [N,B,V] → y [N,A+B,V]
//   y[n,r] = a[n,r] for r < A·V, else b[n,r - A·V]       r runs over a sample's channels and voxels
//   da[n,r] = dy[n,r]        db[n,r] = dy[n,r + A·V]
//
// A workgroup (part, n) moves WG·EACH elements of one sample; forward, first those of a, then those of b.

alias real = f32;

override WG: u32 = 64;
const EACH = 16u;                       // elements of an invocation, WG apart

struct Params {
  rowA: u32,                // A·V
  rowB: u32,                // B·V
}

@group(0) @binding(0) var<storage, read> a: array<real>;
@group(0) @binding(1) var<storage, read> b: array<real>;
@group(0) @binding(2) var<storage, read_write> y: array<real>;
@group(0) @binding(3) var<storage, read> dy: array<real>;
@group(0) @binding(4) var<storage, read_write> da: array<real>;
@group(0) @binding(5) var<storage, read_write> db: array<real>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let start = group.x * WG * EACH;
  let end = min(start + WG * EACH, params.rowA + params.rowB);
  let row = group.y * (params.rowA + params.rowB);
  for (var r = start + lane; r < min(end, params.rowA); r += WG) { y[row + r] = a[group.y * params.rowA + r]; }
  for (var r = max(start, params.rowA) + lane; r < end; r += WG) {
    y[row + r] = b[group.y * params.rowB + r - params.rowA];
  }
}

@compute @workgroup_size(WG)
fn backwardA(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let start = group.x * WG * EACH;
  let end = min(start + WG * EACH, params.rowA);
  let row = group.y * (params.rowA + params.rowB);
  for (var r = start + lane; r < end; r += WG) { da[group.y * params.rowA + r] = dy[row + r]; }
}

@compute @workgroup_size(WG)
fn backwardB(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let start = group.x * WG * EACH;
  let end = min(start + WG * EACH, params.rowB);
  let row = group.y * (params.rowA + params.rowB) + params.rowA;
  for (var r = start + lane; r < end; r += WG) { db[group.y * params.rowB + r] = dy[row + r]; }
}
