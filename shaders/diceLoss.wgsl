// p = softmax(logits over classes), g = the label as one-hot; sums over the voxels i of the whole batch:
//   overlap_c = 2 Σ_i p g + smoothing,  total_c = Σ_i (p² + g) + smoothing
//   y = (1/C) Σ_c (1 - overlap_c / total_c)
//   dp[i,c]      = (2/C) (p · overlap_c / total_c - g) / total_c
//   dlogits[i,c] = dy · p_c (dp[i,c] - Σ_k p_k dp[i,k])
//
// The two sums are the columns of a matrix, each of four classes.
//
// partial: a workgroup sums four classes over CHUNK voxels of one sample, in a fixed order.
// combine: a workgroup adds the partials of four classes in order. mean: one invocation adds the classes.
// backward: an invocation takes all classes of one voxel.

override WG: u32 = 64;

const CHUNK = 4096u;

struct Params {
  classes: u32,             // C
  voxels: u32,              // V, of a sample
  smoothing: f32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;             // [N,C,V]
@group(0) @binding(1) var<storage, read> label: array<f32>;              // [N,V]
@group(0) @binding(2) var<storage, read_write> sums: array<mat2x4f>;     // [C/4,N·chunks]: Σ p g, Σ (p² + g)
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> ratios: array<mat2x4f>;   // [C/4]: overlap/total, 1/total
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> tree: array<mat2x4f, WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let voxels = params.voxels;
  let classes = 4u * group.z + vec4u(0u, 1u, 2u, 3u);
  let end = min((group.x + 1u) * CHUNK, voxels);
  var sum = mat2x4f();
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let at = group.y * params.classes * voxels + v;
    let softmax = maxAndSum(at);
    let g = vec4f(vec4u(u32(label[group.y * voxels + v])) == classes);
    var p = vec4f();
    for (var k = 0u; k < 4u; k++) {
      let c = classes[k];
      if (c < params.classes) { p[k] = exp(logits[at + c * voxels] - softmax.x) / softmax.y; }
    }
    sum += mat2x4f(p * g, p * p + g);
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[(group.z * groups.y + group.y) * groups.x + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let quad = group.x;
  let count = arrayLength(&sums) / arrayLength(&ratios);
  var sum = mat2x4f();
  for (var i = thread; i < count; i += WG) { sum += sums[quad * count + i]; }
  let total = reduce(thread, sum);
  let overlap = 2.0 * total[0] + params.smoothing;
  let all = total[1] + params.smoothing;
  if (thread == 0u) { ratios[quad] = mat2x4f(overlap / all, 1.0 / all); }
}

@compute @workgroup_size(1)
fn mean() {
  var loss = 0.0;
  for (var c = 0u; c < params.classes; c++) { loss += 1.0 - ratiosOf(c).x; }
  y[0] = loss / f32(params.classes);
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&label)) { return; }
  let voxels = params.voxels;
  let at = i / voxels * params.classes * voxels + i % voxels;
  let truth = u32(label[i]);
  let softmax = maxAndSum(at);
  var mean = 0.0;           // Σ_k p_k dp[i,k] without the factor 2/C
  for (var c = 0u; c < params.classes; c++) {
    let p = exp(logits[at + c * voxels] - softmax.x) / softmax.y;
    mean += p * slope(p, c, c == truth);
  }
  let factor = 2.0 * dy[0] / f32(params.classes);
  for (var c = 0u; c < params.classes; c++) {
    let p = exp(logits[at + c * voxels] - softmax.x) / softmax.y;
    dlogits[at + c * voxels] = factor * p * (slope(p, c, c == truth) - mean);
  }
}

// overlap/total and 1/total of class c
fn ratiosOf(c: u32) -> vec2f { return vec2f(ratios[c / 4u][0][c % 4u], ratios[c / 4u][1][c % 4u]); }

// dp[i,c] without the factor 2/C
fn slope(p: f32, c: u32, inClass: bool) -> f32 {
  let ratio = ratiosOf(c);
  return (p * ratio.x - f32(inClass)) * ratio.y;
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
fn reduce(thread: u32, value: mat2x4f) -> mat2x4f {
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
