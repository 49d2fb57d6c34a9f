// The losses of crossEntropy.wgsl, diceLoss.wgsl and klDivergence.wgsl for at most four classes: one pass
// reads the logits for all of them, another for their gradients. p = softmax(logits), g = the label as
// one-hot, w = the other classes' share of the voxels; p', q' are the softmax of logits / T and targets / T:
//   crossEntropy = Σ_i w_{label_i} · -log p_{label_i} / Σ_i w_{label_i}       0 where all weights are 0
//   dice = (1/C) Σ_c (1 - overlap_c / total_c)
//          overlap_c = 2 Σ_i p g + smoothing, total_c = Σ_i (p² + g) + smoothing
//   divergence = (1/NCV) Σ_{i,c} q' (log q' - log p')
//
// A voxel's classes are the elements of a vector. Absent ones have logits so low that their probability is 0.
//
// partial: a workgroup sums CHUNK voxels of one sample by class, in a fixed order.
// combine: a workgroup adds the partials of a sample in order. finish: one invocation adds the samples.
// backward: a workgroup takes TILE voxels of one sample.

override WG: u32 = 64;
override classes: u32;      // C
override taught: bool;      // whether there are targets

const CHUNK = 4096u;
const TILE = 512u;
const INDICES = vec4u(0u, 1u, 2u, 3u);
const NONE = -1e30;         // the logit of an absent class

// The sums of a sample. For each class: -log p over the class's voxels, p g, p², the number of its voxels;
// and Σ q' (log q' - log p').
const SUMS = 17u;

struct Params {
  voxels: u32,              // V, of a sample
  smoothing: f32,
  cooling: f32,             // 1/T
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;             // [N,C,V]
@group(0) @binding(1) var<storage, read> label: array<f32>;              // [N,V]
@group(0) @binding(2) var<storage, read> targets: array<f32>;            // [N,C,V]
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;         // [N,chunks,SUMS]
@group(0) @binding(4) var<storage, read_write> totals: array<f32>;       // [N,SUMS]
@group(0) @binding(5) var<storage, read_write> counts: array<f32>;       // [N,C]
@group(0) @binding(6) var<storage, read_write> coefficients: array<vec4f>; // w/Σw, overlap/total, 1/total
@group(0) @binding(7) var<storage, read_write> crossEntropy: array<f32>;
@group(0) @binding(8) var<storage, read_write> dice: array<f32>;
@group(0) @binding(9) var<storage, read_write> divergence: array<f32>;
@group(0) @binding(10) var<storage, read> dCrossEntropy: array<f32>;
@group(0) @binding(11) var<storage, read> dDice: array<f32>;
@group(0) @binding(12) var<storage, read> dDivergence: array<f32>;
@group(0) @binding(13) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(14) var<uniform> params: Params;

var<workgroup> tree: array<f32, SUMS * WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let voxels = params.voxels;
  var sum = mat4x4f();
  var apart = 0.0;
  let run = runOf(group.x, thread, CHUNK);
  for (var v = run.x; v < run.y; v += 8u) {
    let at = group.y * classes * voxels + v;
    let truth = vec4u(u32(label[group.y * voxels + v])) == INDICES;
    let x = logitsAt(at);
    let softmax = softmaxOf(x);
    let loss = select(vec4f(), log(softmax.sum) + (softmax.largest - x), truth);
    let p = softmax.p;
    let g = vec4f(truth);
    sum += mat4x4f(loss, p * g, p * p, g);
    if (taught) { apart += divergenceOf(x * params.cooling, targetsAt(at) * params.cooling); }
  }
  for (var j = 0u; j < 16u; j++) { tree[thread * SUMS + j] = sum[j / 4u][j % 4u]; }
  tree[thread * SUMS + 16u] = apart;
  workgroupBarrier();
  if (thread >= SUMS) { return; }
  var total = 0.0;
  for (var i = 0u; i < WG; i++) { total += tree[i * SUMS + thread]; }
  sums[(group.y * groups.x + group.x) * SUMS + thread] = total;
}

@compute @workgroup_size(WG)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (thread >= SUMS) { return; }
  let chunks = (params.voxels + CHUNK - 1u) / CHUNK;
  var total = 0.0;
  for (var i = 0u; i < chunks; i++) { total += sums[(group.x * chunks + i) * SUMS + thread]; }
  totals[group.x * SUMS + thread] = total;
}

@compute @workgroup_size(1)
fn finish() {
  let samples = arrayLength(&totals) / SUMS;
  var sum = mat4x4f();
  var apart = 0.0;
  for (var n = 0u; n < samples; n++) {
    for (var j = 0u; j < 16u; j++) { sum[j / 4u][j % 4u] += totals[n * SUMS + j]; }
    apart += totals[n * SUMS + 16u];
    for (var c = 0u; c < classes; c++) { counts[n * classes + c] = totals[n * SUMS + 12u + c]; }
  }
  let count = sum[3];
  var weight = vec4f();     // the sum over the other classes: 1 - a share would have few digits
  for (var c = 0u; c < 4u; c++) { weight[c] = dot(count, vec4f(INDICES != vec4u(c))); }
  weight /= dot(count, vec4f(1.0));
  let weights = dot(weight, count);
  crossEntropy[0] = select(0.0, dot(weight, sum[0]) / weights, weights > 0.0);

  let overlap = 2.0 * sum[1] + params.smoothing;
  let all = sum[2] + count + params.smoothing;
  var loss = 0.0;
  for (var c = 0u; c < classes; c++) { loss += 1.0 - overlap[c] / all[c]; }
  dice[0] = loss / f32(classes);
  divergence[0] = apart / f32(samples * params.voxels * classes);

  coefficients[0] = select(vec4f(), weight / weights, weights > 0.0);
  coefficients[1] = overlap / all;
  coefficients[2] = 1.0 / all;
}

//   dlogits[i,c] = dCrossEntropy · w_{label_i} / Σ_j w_{label_j} · (p_c - g_c)
//     + dDice · p_c (s_c - Σ_k p_k s_k)   with s_c = (2/C) (p_c · overlap_c / total_c - g_c) / total_c
//     + dDivergence / (N·C·V·T) · (p'_c - q'_c)
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let voxels = params.voxels;
  let weight = dCrossEntropy[0] * coefficients[0];
  let ratio = coefficients[1] * coefficients[2];
  let inverse = coefficients[2];
  let share = 2.0 * dDice[0] / f32(classes);
  let pull = dDivergence[0] / f32(arrayLength(&dlogits)) * params.cooling;
  let run = runOf(group.x, thread, TILE);
  for (var v = run.x; v < run.y; v += 8u) {
    let at = group.y * classes * voxels + v;
    let g = vec4f(vec4u(u32(label[group.y * voxels + v])) == INDICES);
    let x = logitsAt(at);
    let softmax = softmaxOf(x);
    let p = softmax.p;
    let slope = p * ratio - g * inverse;
    var dx = dot(weight, g) * (p - g) + share * p * (slope - dot(p, slope));
    if (taught) {
      let student = softmaxOf(x * params.cooling);
      let teacher = softmaxOf(targetsAt(at) * params.cooling);
      dx += pull * (student.p - teacher.p);
    }
    for (var c = 0u; c < classes; c++) { dlogits[at + c * voxels] = dx[c]; }
  }
}

fn logitsAt(at: u32) -> vec4f {
  var x = vec4f(NONE);
  for (var c = 0u; c < classes; c++) { x[c] = logits[at + c * params.voxels]; }
  return x;
}

fn targetsAt(at: u32) -> vec4f {
  var x = vec4f(NONE);
  for (var c = 0u; c < classes; c++) { x[c] = targets[at + c * params.voxels]; }
  return x;
}

// The largest logit, so that no exponential overflows; the probabilities; Σ exp(logit - largest).
struct Softmax { largest: f32, p: vec4f, sum: f32 }

fn softmaxOf(x: vec4f) -> Softmax {
  let largest = max(max(x.x, x.y), max(x.z, x.w));
  let powers = exp(x - largest);
  let sum = dot(powers, vec4f(1.0));
  return Softmax(largest, powers * (1.0 / sum), sum);
}

// Σ q (log q - log p) of a voxel, as Σ (p - q - q r) with r = log p - log q: no term of that is negative.
fn divergenceOf(x: vec4f, y: vec4f) -> f32 {
  let student = softmaxOf(x);
  let teacher = softmaxOf(y);
  let p = student.p;
  let q = teacher.p;
  let r = (x - student.largest) - (y - teacher.largest) + log(teacher.sum / student.sum);
  // A series where the terms cancel. eʳ itself may overflow where q is 0.
  let tail = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0)));
  let series = q * r * r * (1.0 / 2.0 + r * (1.0 / 6.0 + r * tail));
  return dot(select(series, p - q - q * r, abs(r) > vec4f(0.5)), vec4f(1.0));
}

// The first voxel of an invocation and the end of its run. Eight invocations share a run, each with every
// eighth voxel: drivers of eight lanes and caches read in order, others whole sectors of 32 bytes.
fn runOf(chunk: u32, thread: u32, size: u32) -> vec2u {
  let length = 8u * size / WG;
  let begin = chunk * size + thread / 8u * length;
  return vec2u(begin + thread % 8u, min(begin + length, params.voxels));
}
