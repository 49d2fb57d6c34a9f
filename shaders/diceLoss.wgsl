// p = softmax(logits over classes), g = the label as one-hot; sums over the voxels i of the whole batch:
//   overlap_c = 2 Σ_i p g + smoothing,  total_c = Σ_i (p² + g) + smoothing
//   y = (1/C) Σ_c (1 - overlap_c / total_c)
//   dp[i,c]      = (2/C) (p · overlap_c / total_c - g) / total_c
//   dlogits[i,c] = dy · p_c (dp[i,c] - Σ_k p_k dp[i,k])
//
// partial: a workgroup sums four classes over CHUNK voxels of one sample, in a fixed tree.
// combine: one workgroup adds the partials of each class in order.
// backward: an invocation does the classes of one voxel.

override WG: u32 = 64;

const CHUNK = 4096u;

struct Params {
  classes: u32,             // C
  voxels: u32,              // V, of a sample
  smoothing: f32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;             // [N,C,V]
@group(0) @binding(1) var<storage, read> label: array<f32>;              // [N,V]
@group(0) @binding(2) var<storage, read_write> sums: array<vec4f>;       // [C/4,N·chunks,2] of four classes
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> ratios: array<vec2f>;     // [C]: overlap/total, 1/total
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> tree: array<vec4f, WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let voxels = params.voxels;
  let classes = 4u * group.z + vec4u(0u, 1u, 2u, 3u);
  let end = min((group.x + 1u) * CHUNK, voxels);
  var overlap = vec4f();
  var total = vec4f();
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let at = group.y * params.classes * voxels + v;
    let softmax = maxAndSum(at);
    let g = vec4f(vec4u(u32(label[group.y * voxels + v])) == classes);
    var p = vec4f();
    for (var k = 0u; k < 4u; k++) {
      if (classes[k] < params.classes) { p[k] = exp(logits[at + classes[k] * voxels] - softmax.x) / softmax.y; }
    }
    overlap += p * g;
    total += p * p + g;
  }
  let at = 2u * ((group.z * groups.y + group.y) * groups.x + group.x);
  let overlaps = reduce(thread, overlap);
  let totals = reduce(thread, total);
  if (thread == 0u) {
    sums[at] = overlaps;
    sums[at + 1u] = totals;
  }
}

@compute @workgroup_size(WG)
fn combine(@builtin(local_invocation_index) thread: u32) {
  let quads = (params.classes + 3u) / 4u;
  let count = arrayLength(&sums) / quads / 2u;
  var loss = 0.0;
  for (var quad = 0u; quad < quads; quad++) {
    var overlap = vec4f();
    var total = vec4f();
    for (var i = thread; i < count; i += WG) {
      overlap += sums[2u * (quad * count + i)];
      total += sums[2u * (quad * count + i) + 1u];
    }
    let overlaps = 2.0 * reduce(thread, overlap) + params.smoothing;
    let totals = reduce(thread, total) + params.smoothing;
    let last = min(4u * quad + 4u, params.classes);
    for (var c = 4u * quad; c < last; c++) {
      let ratio = overlaps[c % 4u] / totals[c % 4u];
      loss += 1.0 - ratio;
      if (thread == 0u) { ratios[c] = vec2f(ratio, 1.0 / totals[c % 4u]); }
    }
  }
  if (thread == 0u) { y[0] = loss / f32(params.classes); }
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&label)) { return; }
  let voxels = params.voxels;
  let at = i / voxels * params.classes * voxels + i % voxels;
  let truth = u32(label[i]);
  let softmax = maxAndSum(at);
  var mean = 0.0;           // Σ_k p_k dp_k, but for the factor 2/C
  for (var c = 0u; c < params.classes; c++) {
    let p = exp(logits[at + c * voxels] - softmax.x) / softmax.y;
    mean += p * (p * ratios[c].x - f32(c == truth)) * ratios[c].y;
  }
  let factor = 2.0 * dy[0] / f32(params.classes);
  for (var c = 0u; c < params.classes; c++) {
    let p = exp(logits[at + c * voxels] - softmax.x) / softmax.y;
    dlogits[at + c * voxels] = factor * p * ((p * ratios[c].x - f32(c == truth)) * ratios[c].y - mean);
  }
}

// The largest logit of a voxel, so that no exponential overflows, and Σ_c exp(logit - largest).
fn maxAndSum(at: u32) -> vec2f {
  var largest = logits[at];
  for (var c = 1u; c < params.classes; c++) { largest = max(largest, logits[at + c * params.voxels]); }
  var sum = 0.0;
  for (var c = 0u; c < params.classes; c++) { sum += exp(logits[at + c * params.voxels] - largest); }
  return vec2f(largest, sum);
}

// The sum of `value` over the workgroup. WG is a power of two.
fn reduce(thread: u32, value: vec4f) -> vec4f {
  tree[thread] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] += tree[thread + half]; }
  }
  workgroupBarrier();
  let sum = tree[0];
  workgroupBarrier(); // before the tree is used again
  return sum;
}
