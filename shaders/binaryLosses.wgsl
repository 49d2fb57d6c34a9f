// Losses of independent yes-or-no predictions, a channel each: logit x, target t in 0 … 1, p = sigmoid(x / T)
//   crossEntropy = mean over all elements of -t log p - (1 - t) log(1 - p)
//   dice = (1/C) Σ_c (1 - (2 Σ p t + smoothing) / A_c)   A_c = Σ (p² + t²) + smoothing, over N and V
//        = (1/C) Σ_c D_c / A_c                           D_c = Σ (p - t)², in which no digits cancel
//   dx = (1/T) (dCrossEntropy / (N·C·V) · (p - t) + dDice · 2 / (C A_c) · (p - t - p D_c / A_c) · p (1 - p))
//
// partial: a workgroup sums CHUNK voxels of one channel of one sample, in a fixed order.
// combine: a workgroup adds the partials of a channel. mean: one invocation adds the channels.
// backward: an invocation takes one element.

override WG: u32 = 64;      // a power of two

const CHUNK = 4096u;

struct Params {
  channels: u32,            // C
  voxels: u32,              // V, of a sample
  smoothing: f32,
  cooling: f32,             // 1/T
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;             // x [N,C,V]
@group(0) @binding(1) var<storage, read> targets: array<f32>;            // t [N,C,V]
@group(0) @binding(2) var<storage, read_write> sums: array<vec3f>;       // [C,N,chunks]: Σ entropy, D, A
@group(0) @binding(3) var<storage, read_write> totals: array<vec3f>;     // [C]: Σ entropy, D/A, 1/A
@group(0) @binding(4) var<storage, read_write> crossEntropy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dice: array<f32>;
@group(0) @binding(6) var<storage, read> dCrossEntropy: array<f32>;
@group(0) @binding(7) var<storage, read> dDice: array<f32>;
@group(0) @binding(8) var<storage, read_write> dlogits: array<f32>;      // [N,C,V]
@group(0) @binding(9) var<uniform> params: Params;

var<workgroup> tree: array<vec3f, WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.z * params.channels + group.y;
  let end = min((group.x + 1u) * CHUNK, params.voxels);
  var sum = vec3f();
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let i = row * params.voxels + v;
    let one = predictionOf(logits[i], targets[i]);
    sum += vec3f(one.loss, one.error * one.error, one.p * one.p + targets[i] * targets[i]);
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[(group.y * groups.z + group.z) * groups.x + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let count = arrayLength(&sums) / params.channels;
  var sum = vec3f();
  for (var i = thread; i < count; i += WG) { sum += sums[group.x * count + i]; }
  let total = reduce(thread, sum);
  let all = total.z + params.smoothing;
  if (thread == 0u) { totals[group.x] = vec3f(total.x, total.y / all, 1.0 / all); }
}

@compute @workgroup_size(1)
fn mean() {
  var sum = vec3f();
  for (var c = 0u; c < params.channels; c++) { sum += totals[c]; }
  crossEntropy[0] = sum.x / f32(arrayLength(&logits));
  dice[0] = sum.y / f32(params.channels);
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dlogits)) { return; }
  let total = totals[i / params.voxels % params.channels];
  let one = predictionOf(logits[i], targets[i]);
  let entropy = dCrossEntropy[0] / f32(arrayLength(&dlogits)) * one.error;
  let overlap = dDice[0] * 2.0 / f32(params.channels) * total.z * (one.error - one.p * total.y) * one.slope;
  dlogits[i] = params.cooling * (entropy + overlap);
}

// p, p - t, p (1 - p), and the cross-entropy.
struct Prediction { p: f32, error: f32, slope: f32, loss: f32 }

// With e = exp(-|x / T|), which cannot overflow, the less likely answer has probability q = e / (1 + e) and
// target m. Both keep their digits where the prediction is certain.
fn predictionOf(x: f32, t: f32) -> Prediction {
  let z = x * params.cooling;
  let e = exp(-abs(z));
  let q = e / (1.0 + e);
  let likely = z >= 0.0;
  let m = select(t, 1.0 - t, likely);
  return Prediction(
    select(q, 1.0 - q, likely),
    select(q - m, m - q, likely),
    q / (1.0 + e),
    logOfOneAnd(e) + m * abs(z),
  );
}

// log(1 + e) for e in 0 … 1, as the series of 2 artanh(e / (2 + e)): log() of a number near 1 has few digits.
fn logOfOneAnd(e: f32) -> f32 {
  let s = e / (2.0 + e);
  let u = s * s;
  let tail = 1.0 / 7.0 + u * (1.0 / 9.0 + u / 11.0);
  return 2.0 * s * (1.0 + u * (1.0 / 3.0 + u * (1.0 / 5.0 + u * tail)));
}

// The sum of `value` over the workgroup, for thread 0.
fn reduce(thread: u32, value: vec3f) -> vec3f {
  tree[thread] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] += tree[thread + half]; }
  }
  return tree[0];
}
