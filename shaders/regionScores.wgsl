// Which of K findings an image shows, by the evidence of its regions: each region's classes compete for it,
// and the regions compete for each finding.   logits c, d [N·R,K], rows of a sample after another
//   p[r] = softmax_k(scale · c[r])       q[r,k] = softmax over the sample's regions of scale · d[r,k]
//   s[n,k] = Σ_r p[r,k] q[r,k]
//   dd[r,k] = scale · ds_k q[r,k] (p[r,k] - s_k)
//   dc[r,j] = scale · p[r,j] (ds_j q[r,j] - Σ_k ds_k q[r,k] p[r,k])
// and the loss of the scores against bits y [N,K], with a least value e of a logarithm's argument:
//   L = -(1/N) Σ_n Σ_k [y log max(s, e) + (1 - y) log max(1 - s, e)]
//   ds = -dL / N · (y / s where s ≥ e, and -(1 - y) / (1 - s) where 1 - s ≥ e)
//
// forward: a workgroup takes a finding of a sample, and sums in a fixed order. backward: an invocation takes
// a region. loss: one workgroup. slopes: an invocation takes a score.

override WG: u32 = 64;      // a power of two

const LEAST = -3.4e38;

struct Params {
  regions: u32,             // R, of a sample
  findings: u32,            // K
  scale: f32,
  least: f32,               // e
}

@group(0) @binding(0) var<storage, read> c: array<f32>;                  // [N·R,K]
@group(0) @binding(1) var<storage, read> d: array<f32>;                  // [N·R,K]
@group(0) @binding(2) var<storage, read_write> s: array<f32>;            // [N,K]
@group(0) @binding(3) var<storage, read_write> norms: array<f32>;        // largest of d, Σ exp [N,K,2]
@group(0) @binding(4) var<storage, read> ds: array<f32>;                 // [N,K]
@group(0) @binding(5) var<storage, read_write> dc: array<f32>;           // [N·R,K]
@group(0) @binding(6) var<storage, read_write> dd: array<f32>;           // [N·R,K]
@group(0) @binding(7) var<storage, read> scores: array<f32>;             // s, to read [N,K]
@group(0) @binding(8) var<storage, read> bits: array<f32>;               // y [N,K]
@group(0) @binding(9) var<storage, read_write> loss: array<f32>;         // a scalar
@group(0) @binding(10) var<storage, read> dloss: array<f32>;             // a scalar
@group(0) @binding(11) var<storage, read_write> dscores: array<f32>;     // [N,K]
@group(0) @binding(12) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = group.x + group.y * groups.x;
  let k = i % params.findings;
  let first = i / params.findings * params.regions;
  let end = select(first, first + params.regions, i < arrayLength(&s));
  var part = LEAST;
  for (var r = first + thread; r < end; r += WG) { part = max(part, d[r * params.findings + k]); }
  let largest = greatest(thread, part);
  part = 0.0;
  for (var r = first + thread; r < end; r += WG) { part += power(r, k, largest); }
  let sum = reduce(thread, part);
  part = 0.0;
  for (var r = first + thread; r < end; r += WG) { part += share(r, k) * power(r, k, largest); }
  let score = reduce(thread, part) / sum;
  if (thread == 0u && i < arrayLength(&s)) {
    s[i] = score;
    norms[2u * i] = largest;
    norms[2u * i + 1u] = sum;
  }
}

// norms is bound to be written; here it is read.
@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let r = id.x + id.y * groups.x * WG;
  if (r >= arrayLength(&c) / params.findings) { return; }
  let first = r / params.regions * params.findings;
  var mean = 0.0;
  for (var k = 0u; k < params.findings; k++) { mean += pull(r, k, first + k) * share(r, k); }
  for (var k = 0u; k < params.findings; k++) {
    let at = r * params.findings + k;
    let p = share(r, k);
    dd[at] = params.scale * pull(r, k, first + k) * (p - scores[first + k]);
    dc[at] = params.scale * p * (pull(r, k, first + k) - mean);
  }
}

@compute @workgroup_size(WG)
fn lossOf(@builtin(local_invocation_index) thread: u32) {
  var part = 0.0;
  for (var i = thread; i < arrayLength(&scores); i += WG) {
    let present = log(max(scores[i], params.least));
    let absent = log(max(1.0 - scores[i], params.least));
    part -= bits[i] * present + (1.0 - bits[i]) * absent;
  }
  let total = reduce(thread, part);
  if (thread == 0u) { loss[0] = total / f32(arrayLength(&scores) / params.findings); }
}

@compute @workgroup_size(WG)
fn slopes(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dscores)) { return; }
  let x = scores[i];
  let present = select(0.0, bits[i] / x, x >= params.least);
  let absent = select(0.0, (1.0 - bits[i]) / (1.0 - x), 1.0 - x >= params.least);
  dscores[i] = dloss[0] * (absent - present) / f32(arrayLength(&scores) / params.findings);
}

// ds_k q[r,k], with `at` the place of sample and finding.
fn pull(r: u32, k: u32, at: u32) -> f32 {
  return ds[at] * power(r, k, norms[2u * at]) / norms[2u * at + 1u];
}

// exp(scale · (d[r,k] - largest))
fn power(r: u32, k: u32, largest: f32) -> f32 {
  return exp(params.scale * (d[r * params.findings + k] - largest));
}

// p[r,k]
fn share(r: u32, k: u32) -> f32 {
  let at = r * params.findings;
  var largest = LEAST;
  for (var j = 0u; j < params.findings; j++) { largest = max(largest, c[at + j]); }
  var sum = 0.0;
  for (var j = 0u; j < params.findings; j++) { sum += exp(params.scale * (c[at + j] - largest)); }
  return exp(params.scale * (c[at + k] - largest)) / sum;
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
