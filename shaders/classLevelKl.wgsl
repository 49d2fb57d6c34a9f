// The symmetric divergence of K pairs of distributions over C: p_k = softmax(a_k / T), q_k = softmax(b_k / T)
//   part[k] = ½ Σ_c p (log p - log q) + ½ Σ_c q (log q - log p) = ½ Σ_c (p - q) r        r = log p - log q
//   y = Σ_k share[k] part[k]
//   da[k,c] = dy share[k] / (2 T) · (p (r - Σ_c p r) + p - q)        db: the same with a and b exchanged
// share[k] = 1 / K; with `skip`, 1 / (the number of classes that both batches have) for these, else 0.
//
// An invocation takes one of the K pairs, which are small.

override WG: u32 = 64;

struct Params {
  channels: u32,            // C
  temperature: f32,         // T
  skip: u32,                // 1 to skip the classes that a batch lacks
}

@group(0) @binding(0) var<storage, read> a: array<f32>;                  // [K,C]
@group(0) @binding(1) var<storage, read> b: array<f32>;                  // [K,C]
@group(0) @binding(2) var<storage, read_write> part: array<f32>;         // [K]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> da: array<f32>;
@group(0) @binding(6) var<storage, read> countsA: array<f32>;            // voxels [N,K]
@group(0) @binding(7) var<storage, read> countsB: array<f32>;            // voxels [M,K]
@group(0) @binding(8) var<storage, read_write> share: array<f32>;        // [K]
@group(0) @binding(9) var<uniform> params: Params;

// The largest logits of a pair, and log Σ_c exp((logit - largest) / T).
struct Softmax { largest: vec2f, logSum: vec2f }

@compute @workgroup_size(WG)
fn divergence(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&part)) { return; }
  let softmax = softmaxOf(id.x);
  var sum = 0.0;
  for (var c = 0u; c < params.channels; c++) {
    let logs = logsOf(id.x * params.channels + c, softmax);
    sum += (exp(logs.x) - exp(logs.y)) * (logs.x - logs.y);
  }
  part[id.x] = 0.5 * sum;
}

@compute @workgroup_size(1)
fn shares() {
  let classes = arrayLength(&share);
  var sum = 0.0;
  for (var k = 0u; k < classes; k++) {
    share[k] = select(counts(k), 1.0, params.skip == 0u);
    sum += share[k];
  }
  for (var k = 0u; k < classes; k++) { share[k] /= max(sum, 1.0); }
}

// 1 for a class that both batches have, else 0.
fn counts(k: u32) -> f32 {
  var inA = false;
  var inB = false;
  let classes = arrayLength(&share);
  for (var i = k; i < arrayLength(&countsA); i += classes) { inA = inA || countsA[i] > 0.0; }
  for (var i = k; i < arrayLength(&countsB); i += classes) { inB = inB || countsB[i] > 0.0; }
  return select(0.0, 1.0, inA && inB);
}

@compute @workgroup_size(1)
fn mean() {
  var sum = 0.0;
  for (var k = 0u; k < arrayLength(&part); k++) { sum += share[k] * part[k]; }
  y[0] = sum;
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&share)) { return; }
  let softmax = softmaxOf(id.x);
  let start = id.x * params.channels;
  var mean = 0.0;
  for (var c = 0u; c < params.channels; c++) {
    let logs = logsOf(start + c, softmax);
    mean += exp(logs.x) * (logs.x - logs.y);
  }
  let factor = dy[0] * share[id.x] / (2.0 * params.temperature);
  for (var c = 0u; c < params.channels; c++) {
    let logs = logsOf(start + c, softmax);
    let p = exp(logs.x);
    da[start + c] = factor * (p * (logs.x - logs.y - mean) + p - exp(logs.y));
  }
}

fn softmaxOf(k: u32) -> Softmax {
  let start = k * params.channels;
  var softmax = Softmax(vec2f(a[start], b[start]), vec2f());
  for (var i = start; i < start + params.channels; i++) { softmax.largest = max(softmax.largest, vec2f(a[i], b[i])); }
  var sum = vec2f();
  for (var i = start; i < start + params.channels; i++) { sum += exp(logsOf(i, softmax)); }
  softmax.logSum = log(sum);
  return softmax;
}

// log p, log q
fn logsOf(i: u32, softmax: Softmax) -> vec2f {
  return (vec2f(a[i], b[i]) - softmax.largest) / params.temperature - softmax.logSum;
}
