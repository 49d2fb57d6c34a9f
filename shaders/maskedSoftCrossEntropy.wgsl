// A teacher's soft labels, where the teacher is right and better than the student.
// logits, targets [N,C,V] → y
//   weight w = max(0, H(softmax(logits)) - H(softmax(targets))) where the label is the targets' first largest
//              class, else 0; a constant, with H(p) = -log p[label]
//   p = softmax(logits / T), q = softmax(targets / T), over classes
//   y = Σ_v w (-Σ_c q log max(p, clip)) / Σ_v w, and 0 where all weights are 0
//   dlogits = dy / Σ_v w · w / T · (p Σ_{c: p ≥ clip} q - q [p ≥ clip])
//
// partial: a workgroup sums CHUNK voxels of one sample, in a fixed order.
// combine: one workgroup adds the partials in order.
// backward: an invocation takes all classes of one voxel.

override WG: u32 = 64;      // a power of two

const CHUNK = 4096u;
const LEAST = 1e-12;        // the least sum of weights

struct Params {
  classes: u32,             // C
  voxels: u32,              // V, of a sample
  cooling: f32,             // 1/T
  clip: f32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;             // [N,C,V]
@group(0) @binding(1) var<storage, read> targets: array<f32>;            // [N,C,V]
@group(0) @binding(2) var<storage, read> label: array<f32>;              // [N,V]
@group(0) @binding(3) var<storage, read_write> sums: array<vec2f>;       // [N,chunks]: Σ w·entropy, Σ w
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> scale: array<f32>;        // 1 / Σ w
@group(0) @binding(6) var<storage, read> dy: array<f32>;
@group(0) @binding(7) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

var<workgroup> tree: array<vec2f, WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let voxels = params.voxels;
  let end = min((group.x + 1u) * CHUNK, voxels);
  var sum = vec2f();
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let at = group.y * params.classes * voxels + v;
    let largest = largestAt(at);
    let weight = weightAt(at, label[group.y * voxels + v], largest);
    sum += vec2f(weight * entropyAt(at, largest), weight);
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[group.y * groups.x + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(local_invocation_index) thread: u32) {
  var sum = vec2f();
  for (var i = thread; i < arrayLength(&sums); i += WG) { sum += sums[i]; }
  let total = reduce(thread, sum);
  if (thread == 0u) {
    scale[0] = 1.0 / max(total.y, LEAST);
    y[0] = total.x * scale[0];
  }
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&label)) { return; }
  let voxels = params.voxels;
  let at = i / voxels * params.classes * voxels + i % voxels;
  let largest = largestAt(at);
  let factor = dy[0] * scale[0] * params.cooling * weightAt(at, label[i], largest);
  let sum = softSumAt(at, largest);
  var taught = 0.0;
  for (var c = 0u; c < params.classes; c++) {
    let pq = soft(at + c * voxels, largest) / sum;
    taught += select(0.0, pq.y, pq.x >= params.clip);
  }
  for (var c = 0u; c < params.classes; c++) {
    let pq = soft(at + c * voxels, largest) / sum;
    dlogits[at + c * voxels] = factor * (pq.x * taught - select(0.0, pq.y, pq.x >= params.clip));
  }
}

// The largest logit of a voxel: the student's in x, the teacher's in y.
fn largestAt(at: u32) -> vec2f {
  var largest = valuesAt(at);
  for (var c = 1u; c < params.classes; c++) { largest = max(largest, valuesAt(at + c * params.voxels)); }
  return largest;
}

// How much more of the label's cross-entropy the student has than the teacher; 0 where the teacher is wrong.
fn weightAt(at: u32, truth: f32, largest: vec2f) -> f32 {
  var first = params.classes;
  var sum = vec2f();
  for (var c = 0u; c < params.classes; c++) {
    let values = valuesAt(at + c * params.voxels);
    if (first == params.classes && values.y >= largest.y) { first = c; }
    sum += exp(values - largest);
  }
  if (f32(first) != truth && sum.y >= 1.0) { return 0.0; } // a sum of NaN goes on to the loss
  let entropy = largest - valuesAt(at + u32(truth) * params.voxels) + vec2f(logOf(sum.x), logOf(sum.y));
  let gain = entropy.x - entropy.y;
  return select(gain, 0.0, gain <= 0.0);
}

// -Σ_c q log max(p, clip)
fn entropyAt(at: u32, largest: vec2f) -> f32 {
  let sum = softSumAt(at, largest);
  let logSum = logOf(sum.x);
  let least = log(params.clip);
  var entropy = 0.0;
  for (var c = 0u; c < params.classes; c++) {
    let i = at + c * params.voxels;
    let pq = soft(i, largest) / sum;
    let logP = (logits[i] - largest.x) * params.cooling - logSum;
    entropy -= pq.y * select(logP, least, pq.x < params.clip);
  }
  return entropy;
}

fn softSumAt(at: u32, largest: vec2f) -> vec2f {
  var sum = vec2f();
  for (var c = 0u; c < params.classes; c++) { sum += soft(at + c * params.voxels, largest); }
  return sum;
}

fn soft(i: u32, largest: vec2f) -> vec2f { return exp((valuesAt(i) - largest) * params.cooling); }

fn valuesAt(i: u32) -> vec2f { return vec2f(logits[i], targets[i]); }

// log(sum) for a sum from 1 up, as the series of 2 artanh(e / (2 + e)) with e = sum - 1 where that is small:
// log() of a number near 1 has few digits.
fn logOf(sum: f32) -> f32 {
  let e = sum - 1.0;
  if (e > 0.5) { return log(sum); }
  let s = e / (2.0 + e);
  let u = s * s;
  return 2.0 * s * (1.0 + u * (1.0 / 3.0 + u * (1.0 / 5.0 + u * (1.0 / 7.0 + u / 9.0))));
}

// The sum of `value` over the workgroup, for thread 0.
fn reduce(thread: u32, value: vec2f) -> vec2f {
  tree[thread] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] += tree[thread + half]; }
  }
  return tree[0];
}
