// p = softmax(logits / T) over classes; q given, as probabilities
// y = (1/NCV) Σ_{i,c} (q (log q - log p) - q + p), the divergence KL(q ‖ p) where each voxel's q sums to 1
//   dlogits[i,c] = dy / (N·C·V·T) · (p Σ_k q_k - q)
//   dq[i,c] = dy / (N·C·V) · (log q - log p)
// The terms - q + p change no value of probabilities. With them no term is negative and small divergences are
// not differences of large numbers; and dq has no common part, which would only be rounded.
//
// partial: a workgroup sums CHUNK voxels of one sample. combine: one workgroup adds the partials in order.
// backward…: an invocation takes all classes of one voxel.

override WG: u32 = 64;      // a power of two

const CHUNK = 4096u;
const LEAST = 1e-37;        // of q in its logarithm

struct Params {
  classes: u32,             // C
  voxels: u32,              // V, of a sample
  temperature: f32,         // T
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;             // [N,C,V]
@group(0) @binding(1) var<storage, read> q: array<f32>;                  // [N,C,V]
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;         // [N,chunks]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(6) var<storage, read_write> dq: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let end = min((group.x + 1u) * CHUNK, params.voxels);
  var sum = 0.0;
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let at = group.y * params.classes * params.voxels + v;
    let softmax = softmaxOf(at);
    for (var c = 0u; c < params.classes; c++) {
      let i = at + c * params.voxels;
      let logP = logarithm(i, softmax);
      sum += beyondLine(exp(logP), q[i], logP - log(max(q[i], LEAST)));
    }
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[group.y * groups.x + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < arrayLength(&sums); i += WG) { sum += sums[i]; }
  let total = reduce(thread, sum);
  if (thread == 0u) { y[0] = total / f32(arrayLength(&logits)); }
}

@compute @workgroup_size(WG)
fn backwardLogits(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dlogits) / params.classes) { return; }
  let at = i / params.voxels * params.classes * params.voxels + i % params.voxels;
  let softmax = softmaxOf(at);
  var sum = 0.0;
  for (var c = 0u; c < params.classes; c++) { sum += q[at + c * params.voxels]; }
  let factor = dy[0] / f32(arrayLength(&dlogits)) / params.temperature;
  for (var c = 0u; c < params.classes; c++) {
    let j = at + c * params.voxels;
    dlogits[j] = factor * (exp(logarithm(j, softmax)) * sum - q[j]);
  }
}

@compute @workgroup_size(WG)
fn backwardTargets(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dq) / params.classes) { return; }
  let at = i / params.voxels * params.classes * params.voxels + i % params.voxels;
  let softmax = softmaxOf(at);
  let factor = dy[0] / f32(arrayLength(&dq));
  for (var c = 0u; c < params.classes; c++) {
    let j = at + c * params.voxels;
    dq[j] = factor * (log(max(q[j], LEAST)) - logarithm(j, softmax));
  }
}

// The largest logit of a voxel, and log Σ_c exp((logit - largest) / T).
fn softmaxOf(at: u32) -> vec2f {
  var largest = logits[at];
  for (var c = 1u; c < params.classes; c++) { largest = max(largest, logits[at + c * params.voxels]); }
  var sum = 0.0;
  for (var c = 0u; c < params.classes; c++) {
    sum += exp((logits[at + c * params.voxels] - largest) / params.temperature);
  }
  return vec2f(largest, log(sum));
}

// log p
fn logarithm(i: u32, softmax: vec2f) -> f32 {
  return (logits[i] - softmax.x) / params.temperature - softmax.y;
}

// p - q - q r = q (eʳ - 1 - r) for p = q eʳ: by a series where the terms of the first form cancel.
fn beyondLine(p: f32, own: f32, r: f32) -> f32 {
  if (abs(r) > 0.5) { return p - own - own * r; }
  let tail = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r / 5040.0));
  return own * r * r * (1.0 / 2.0 + r * (1.0 / 6.0 + r * tail));
}

// The sum of `value` over the workgroup, for thread 0.
fn reduce(thread: u32, value: f32) -> f32 {
  tree[thread] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] += tree[thread + half]; }
  }
  return tree[0];
}
