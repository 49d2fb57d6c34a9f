// y[n,k,f] = Σ_v [label_nv = k] features[n,f,v] / (counts[n,k] + eps)
//   dfeatures[n,f,v] = dy[n,k,f] / (counts[n,k] + eps)  with k = label_nv
//
// partial: a workgroup sums CHUNK voxels of one row (n,f) into four classes, in a fixed tree.
// combine: a workgroup adds the partials of a row in order.
// backward: an invocation does one element.

override WG: u32 = 64;

const CHUNK = 4096u;

struct Params {
  channels: u32,            // F
  classes: u32,             // K
  voxels: u32,              // V
  eps: f32,
}

@group(0) @binding(0) var<storage, read> features: array<f32>;           // [N,F,V]
@group(0) @binding(1) var<storage, read> label: array<f32>;              // [N,V]
@group(0) @binding(2) var<storage, read> counts: array<f32>;             // [N,K]
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;       // [K/4,N·F,chunks] of four classes
@group(0) @binding(4) var<storage, read_write> y: array<f32>;            // [N,K,F]
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dfeatures: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> tree: array<vec4f, WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y;
  let n = row / params.channels;
  let classes = 4u * group.z + vec4u(0u, 1u, 2u, 3u);
  let end = min((group.x + 1u) * CHUNK, params.voxels);
  var sum = vec4f();
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let inClass = vec4u(u32(label[n * params.voxels + v])) == classes;
    sum += select(vec4f(), vec4f(features[row * params.voxels + v]), inClass);
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[(group.z * groups.y + row) * groups.x + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x;
  let chunks = (params.voxels + CHUNK - 1u) / CHUNK;
  var sum = vec4f();
  for (var i = thread; i < chunks; i += WG) { sum += sums[(group.y * groups.x + row) * chunks + i]; }
  let total = reduce(thread, sum);
  let k = 4u * group.y + thread;
  if (thread >= 4u || k >= params.classes) { return; }
  let nk = row / params.channels * params.classes + k;
  y[nk * params.channels + row % params.channels] = total[thread] / (counts[nk] + params.eps);
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dfeatures)) { return; }
  let row = i / params.voxels;
  let n = row / params.channels;
  let nk = n * params.classes + u32(label[n * params.voxels + i % params.voxels]);
  dfeatures[i] = dy[nk * params.channels + row % params.channels] / (counts[nk] + params.eps);
}

// The sum of `value` over the workgroup: of every eighth value, then of those eight. WG is a multiple of 8.
fn reduce(thread: u32, value: vec4f) -> vec4f {
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
