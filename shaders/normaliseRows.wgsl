// Rows of length 1.   x [N,D] → y [N,D]
//   y[n] = x[n] / max(‖x[n]‖, ε)
//   dx[n] = (dy[n] - y[n] Σ_d y dy) / ‖x[n]‖, or dy[n] / ε where ‖x[n]‖ < ε
//
// A workgroup takes one row, and sums in a fixed order.

override WG: u32 = 64;      // a power of two

struct Params {
  width: u32,               // D
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                  // [N,D]
@group(0) @binding(1) var<storage, read_write> y: array<f32>;            // [N,D]
@group(0) @binding(2) var<storage, read> dy: array<f32>;                 // [N,D]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;           // [N,D]
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups);
  let length = max(lengthOf(row, thread), params.eps);
  for (var i = row.x + thread; i < row.y; i += WG) { y[i] = x[i] / length; }
}

@compute @workgroup_size(WG)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups);
  let own = lengthOf(row, thread);
  let length = max(own, params.eps);
  workgroupBarrier();
  var part = 0.0;
  for (var i = row.x + thread; i < row.y; i += WG) { part += x[i] / length * dy[i]; }
  let along = select(0.0, reduce(thread, part), own >= params.eps);
  for (var i = row.x + thread; i < row.y; i += WG) { dx[i] = (dy[i] - x[i] / length * along) / length; }
}

// The first element of a workgroup's row and the end of the row; nothing beyond the last row.
fn rowOf(group: vec3u, groups: vec3u) -> vec2u {
  let start = (group.x + group.y * groups.x) * params.width;
  return min(vec2u(start, start + params.width), vec2u(arrayLength(&x)));
}

fn lengthOf(row: vec2u, thread: u32) -> f32 {
  var part = 0.0;
  for (var i = row.x + thread; i < row.y; i += WG) { part += x[i] * x[i]; }
  return sqrt(reduce(thread, part));
}

// The sum of `value` over the workgroup, for all of its threads.
fn reduce(thread: u32, value: f32) -> f32 {
  tree[thread] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] += tree[thread + half]; }
  }
  workgroupBarrier();
  return tree[0];
}
