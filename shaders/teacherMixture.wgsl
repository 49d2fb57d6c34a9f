// The softened predictions of several teachers, weighted for each sample.   z_m [N,C,V], w [N,M] → q [N,C,V]
//   q[n,c,v] = Σ_m w[n,m] · p_m[n,c,v],  p_m = softmax_c(z_m / T)
//   dw[n,m] = Σ_{c,v} dq[n,c,v] · p_m[n,c,v]
//
// add: adds a teacher's part to q. partial, combine: dw of a teacher. A workgroup takes CHUNK voxels of a
// sample, an invocation all classes of a voxel.

override WG: u32 = 64;      // a power of two

const CHUNK = 4096u;

struct Params {
  classes: u32,             // C
  voxels: u32,              // V
  chunks: u32,              // of a sample
  teachers: u32,            // M
  teacher: u32,             // m
  temperature: f32,         // T
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> q: array<f32>;
@group(0) @binding(3) var<storage, read> dq: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;         // [N,chunks]
@group(0) @binding(5) var<storage, read_write> dw: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn add(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let weight = w[group.y * params.teachers + params.teacher];
  let end = min((group.x + 1u) * CHUNK, params.voxels);
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let at = group.y * params.classes * params.voxels + v;
    let softmax = softmaxOf(at);
    for (var c = 0u; c < params.classes; c++) {
      let i = at + c * params.voxels;
      let part = weight * exp((z[i] - softmax.x) / params.temperature) / softmax.y;
      if (params.teacher == 0u) { q[i] = part; } else { q[i] += part; }
    }
  }
}

@compute @workgroup_size(WG)
fn partial(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let end = min((group.x + 1u) * CHUNK, params.voxels);
  var sum = 0.0;
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let at = group.y * params.classes * params.voxels + v;
    let softmax = softmaxOf(at);
    for (var c = 0u; c < params.classes; c++) {
      let i = at + c * params.voxels;
      sum += dq[i] * exp((z[i] - softmax.x) / params.temperature) / softmax.y;
    }
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[group.y * params.chunks + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < params.chunks; i += WG) { sum += sums[group.x * params.chunks + i]; }
  let total = reduce(thread, sum);
  if (thread == 0u) { dw[group.x * params.teachers + params.teacher] = total; }
}

// The largest logit of a voxel, and Σ_c exp((z - largest) / T).
fn softmaxOf(at: u32) -> vec2f {
  var largest = z[at];
  for (var c = 1u; c < params.classes; c++) { largest = max(largest, z[at + c * params.voxels]); }
  var sum = 0.0;
  for (var c = 0u; c < params.classes; c++) { sum += exp((z[at + c * params.voxels] - largest) / params.temperature); }
  return vec2f(largest, sum);
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
