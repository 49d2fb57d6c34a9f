// p = softmax(logits / T), q = softmax(targets / T), over classes
// y = (1/NCV) Σ_{i,c} q (log q - log p)
//   dlogits[i,c] = dy / (N·C·V·T) · (p - q)
//
// With r = log p - log q a voxel's Σ_c q (log q - log p) is Σ_c q (eʳ - 1 - r), as Σ_c q eʳ = Σ_c p = 1:
// no term is negative, and small divergences are not differences of large numbers.
//
// partial: a workgroup sums CHUNK voxels of one sample, in a fixed order.
// combine: one workgroup adds the partials in order.
// backward: an invocation takes all classes of one voxel.

override WG: u32 = 64;

const CHUNK = 4096u;

struct Params {
  classes: u32,             // C
  voxels: u32,              // V, of a sample
  temperature: f32,         // T
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;             // [N,C,V]
@group(0) @binding(1) var<storage, read> targets: array<f32>;            // [N,C,V]
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;         // [N,chunks]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

// For both distributions of a voxel: the largest logit, and Σ_c exp((logit - largest) / T).
struct Softmax { largest: vec2f, sum: vec2f }

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let voxels = params.voxels;
  let end = min((group.x + 1u) * CHUNK, voxels);
  var sum = 0.0;
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let at = group.y * params.classes * voxels + v;
    let softmax = softmaxOf(at);
    let shift = log(softmax.sum.y / softmax.sum.x);
    for (var c = 0u; c < params.classes; c++) {
      let power = powers(at + c * voxels, softmax);
      sum += beyondLine(exp(power) / softmax.sum, power.x - power.y + shift);
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
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dlogits) / params.classes) { return; }
  let voxels = params.voxels;
  let at = i / voxels * params.classes * voxels + i % voxels;
  let softmax = softmaxOf(at);
  let factor = dy[0] / f32(arrayLength(&dlogits)) / params.temperature;
  for (var c = 0u; c < params.classes; c++) {
    let pq = exp(powers(at + c * voxels, softmax)) / softmax.sum;
    dlogits[at + c * voxels] = factor * (pq.x - pq.y);
  }
}

fn softmaxOf(at: u32) -> Softmax {
  var softmax = Softmax(vec2f(logits[at], targets[at]), vec2f());
  for (var c = 1u; c < params.classes; c++) {
    let i = at + c * params.voxels;
    softmax.largest = max(softmax.largest, vec2f(logits[i], targets[i]));
  }
  for (var c = 0u; c < params.classes; c++) { softmax.sum += exp(powers(at + c * params.voxels, softmax)); }
  return softmax;
}

fn powers(i: u32, softmax: Softmax) -> vec2f {
  return (vec2f(logits[i], targets[i]) - softmax.largest) / params.temperature;
}

// p - q - q r = q (eʳ - 1 - r) for p = q eʳ: by a series where the terms of the first form cancel. eʳ itself
// may overflow where q is 0.
fn beyondLine(pq: vec2f, r: f32) -> f32 {
  if (abs(r) > 0.5) { return pq.x - pq.y - pq.y * r; }
  let tail = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r / 5040.0));
  return pq.y * r * r * (1.0 / 2.0 + r * (1.0 / 6.0 + r * tail));
}

// The sum over the workgroup: of every eighth invocation, then of those eight. WG is a multiple of 8.
fn reduce(thread: u32, value: f32) -> f32 {
  tree[thread] = value;
  workgroupBarrier();
  if (thread < 8u) {
    for (var i = thread + 8u; i < WG; i += 8u) { tree[thread] += tree[i]; }
  }
  workgroupBarrier();
  var sum = tree[0];
  for (var i = 1u; i < 8u; i++) { sum += tree[i]; }
  return sum;
}
