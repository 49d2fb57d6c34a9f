// A teacher's centred and sharpened probabilities over K prototypes, and the student's cross-entropy with
// them.   rows x, p, q, logits [N,K]
//   softmax: y[n] = softmax((x[n] - center) / T)
//   columns: y[k] = (1/N) Σ_n x[n,k]
//   entropy: losses[n] = -Σ_k p log p, with 0 log 0 = 0
//   crossEntropy: losses[n] = -Σ_k q log softmax(logits[n] / T)
//   combine: y = (1/N) Σ_n losses[n]
//   backward: dlogits = dy / (N T) · (softmax(logits / T) Σ_k q - q)
//
// A workgroup takes one row, and sums in a fixed order; in columns, an invocation takes one column.

override WG: u32 = 64;      // a power of two

const LEAST = -3.4e38;

struct Params {
  width: u32,               // K
  cooling: f32,             // 1/T
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                  // [N,K]
@group(0) @binding(1) var<storage, read> center: array<f32>;             // [K]
@group(0) @binding(2) var<storage, read> q: array<f32>;                  // [N,K]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;       // [N]
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;           // [N,K]
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn softmax(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups);
  var part = LEAST;
  for (var i = row.x + thread; i < row.y; i += WG) { part = max(part, x[i] - center[i - row.x]); }
  let largest = greatest(thread, part);
  part = 0.0;
  for (var i = row.x + thread; i < row.y; i += WG) {
    part += exp((x[i] - center[i - row.x] - largest) * params.cooling);
  }
  let sum = reduce(thread, part);
  for (var i = row.x + thread; i < row.y; i += WG) {
    y[i] = exp((x[i] - center[i - row.x] - largest) * params.cooling) / sum;
  }
}

@compute @workgroup_size(WG)
fn columns(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let k = id.x + id.y * groups.x * WG;
  if (k >= params.width) { return; }
  var sum = 0.0;
  for (var i = k; i < arrayLength(&x); i += params.width) { sum += x[i]; }
  y[k] = sum / f32(arrayLength(&x) / params.width);
}

@compute @workgroup_size(WG)
fn entropy(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups);
  var part = 0.0;
  for (var i = row.x + thread; i < row.y; i += WG) {
    if (x[i] != 0.0) { part -= x[i] * log(x[i]); }
  }
  let total = reduce(thread, part);
  if (thread == 0u && row.x < row.y) { losses[row.x / params.width] = total; }
}

@compute @workgroup_size(WG)
fn crossEntropy(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups);
  let largest = largestOf(row, thread);
  let logSum = logOf(sumOf(row, thread, largest));
  var part = 0.0;
  for (var i = row.x + thread; i < row.y; i += WG) {
    part += q[i] * ((largest - x[i]) * params.cooling + logSum);
  }
  let total = reduce(thread, part);
  if (thread == 0u && row.x < row.y) { losses[row.x / params.width] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(local_invocation_index) thread: u32) {
  var part = 0.0;
  for (var i = thread; i < arrayLength(&losses); i += WG) { part += losses[i]; }
  let total = reduce(thread, part);
  if (thread == 0u) { y[0] = total / f32(arrayLength(&losses)); }
}

@compute @workgroup_size(WG)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups);
  let largest = largestOf(row, thread);
  let sum = sumOf(row, thread, largest);
  var part = 0.0;
  for (var i = row.x + thread; i < row.y; i += WG) { part += q[i]; }
  let all = reduce(thread, part);
  let factor = dy[0] * params.cooling / f32(arrayLength(&x) / params.width);
  for (var i = row.x + thread; i < row.y; i += WG) {
    dx[i] = factor * (exp((x[i] - largest) * params.cooling) / sum * all - q[i]);
  }
}

// The first element of a workgroup's row and the end of the row; nothing beyond the last row.
fn rowOf(group: vec3u, groups: vec3u) -> vec2u {
  let start = (group.x + group.y * groups.x) * params.width;
  return min(vec2u(start, start + params.width), vec2u(arrayLength(&x)));
}

// The largest logit of a row.
fn largestOf(row: vec2u, thread: u32) -> f32 {
  var part = LEAST;
  for (var i = row.x + thread; i < row.y; i += WG) { part = max(part, x[i]); }
  return greatest(thread, part);
}

// Σ_k exp((logit - largest) / T)
fn sumOf(row: vec2u, thread: u32, largest: f32) -> f32 {
  var part = 0.0;
  for (var i = row.x + thread; i < row.y; i += WG) { part += exp((x[i] - largest) * params.cooling); }
  return reduce(thread, part);
}

// log(sum) for a sum from 1 up, as the series of 2 artanh(e / (2 + e)) with e = sum - 1 where that is small:
// log() of a number near 1 has few digits.
fn logOf(sum: f32) -> f32 {
  let e = sum - 1.0;
  if (e > 0.5) { return log(sum); }
  let s = e / (2.0 + e);
  let u = s * s;
  return 2.0 * s * (1.0 + u * (1.0 / 3.0 + u * (1.0 / 5.0 + u * (1.0 / 7.0 + u / 9.0))));
}

// The sum of `value` over the workgroup, for all of its threads.
fn reduce(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  tree[thread] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] += tree[thread + half]; }
  }
  workgroupBarrier();
  return tree[0];
}

// The largest `value` of the workgroup, for all of its threads.
fn greatest(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  tree[thread] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] = max(tree[thread], tree[thread + half]); }
  }
  workgroupBarrier();
  return tree[0];
}
