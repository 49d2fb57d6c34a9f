// p = softmax(logits over classes)
// y = Σ_i w_{label_i} · -log p_{label_i} / Σ_i w_{label_i},  over the voxels i of the batch;
//   0 where all weights are 0
//   dlogits[i,c] = dy · w_{label_i} / Σ_j w_{label_j} · (p_c - [c = label_i])
//
// partial: a workgroup sums both sums over CHUNK voxels of one sample, in a fixed order.
// combine: one workgroup adds the partials in order.
// backward: an invocation takes all classes of one voxel.

override WG: u32 = 64;

const CHUNK = 4096u;

struct Params {
  classes: u32,             // C
  voxels: u32,              // V, of a sample
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;             // [N,C,V]
@group(0) @binding(1) var<storage, read> label: array<f32>;              // [N,V]
@group(0) @binding(2) var<storage, read> weight: array<f32>;             // [C]
@group(0) @binding(3) var<storage, read_write> sums: array<vec2f>;       // [N,chunks] of both sums
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> scale: array<f32>;        // 1 / Σ_i w_{label_i}, or 0
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
    let truth = u32(label[group.y * voxels + v]);
    let softmax = maxAndSum(at);
    let loss = log(softmax.y) + (softmax.x - logits[at + truth * voxels]);
    sum += weight[truth] * vec2f(loss, 1.0);
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[group.y * groups.x + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(local_invocation_index) thread: u32) {
  var sum = vec2f();
  for (var i = thread; i < arrayLength(&sums); i += WG) { sum += sums[i]; }
  let total = reduce(thread, sum);
  if (thread != 0u) { return; }
  y[0] = select(0.0, total.x / total.y, total.y > 0.0);
  scale[0] = select(0.0, 1.0 / total.y, total.y > 0.0);
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&label)) { return; }
  let voxels = params.voxels;
  let at = i / voxels * params.classes * voxels + i % voxels;
  let truth = u32(label[i]);
  let softmax = maxAndSum(at);
  let factor = dy[0] * scale[0] * weight[truth];
  for (var c = 0u; c < params.classes; c++) {
    let p = exp(logits[at + c * voxels] - softmax.x) / softmax.y;
    dlogits[at + c * voxels] = factor * (p - f32(c == truth));
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

// The sum over the workgroup: of every eighth invocation, then of those eight. WG is a multiple of 8.
fn reduce(thread: u32, value: vec2f) -> vec2f {
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
