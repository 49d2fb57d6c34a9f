// y[n,k,f] = Σ_v [label_nv = k] features[n,f,v] / (counts[n,k] + eps)
//   dfeatures[n,f,v] = dy[n,k,f] / (counts[n,k] + eps)  with k = label_nv
//
// partial: a workgroup sums CHUNK voxels of four channels of one sample into four classes, in a fixed order.
// combine: a workgroup adds the partials of a row (n,f) in order.
// backward: a workgroup takes CHUNK voxels of one row.

alias real = f32;

override WG: u32 = 64;

const CHUNK = 4096u;

struct Params {
  channels: u32,            // F
  classes: u32,             // K
  voxels: u32,              // V
  eps: f32,
}

@group(0) @binding(0) var<storage, read> features: array<real>;          // [N,F,V]
@group(0) @binding(1) var<storage, read> label: array<f32>;              // [N,V]
@group(0) @binding(2) var<storage, read> counts: array<f32>;             // [N,K]
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;       // [K/4,N·F,chunks] of four classes
@group(0) @binding(4) var<storage, read_write> y: array<f32>;            // [N,K,F]
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dfeatures: array<real>;
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> tree: array<mat4x4f, WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let voxels = params.voxels;
  let quads = (params.channels + 3u) / 4u;
  let n = group.y / quads;
  let first = 4u * (group.y % quads);
  let most = params.channels - 1u; // which absent channels read
  let rows = n * params.channels + min(first + vec4u(0u, 1u, 2u, 3u), vec4u(most));
  let classes = 4u * group.z + vec4u(0u, 1u, 2u, 3u);
  var sum = mat4x4f();      // a column for each channel
  let run = runOf(group.x, thread);
  for (var v = run.x; v < run.y; v += 8u) {
    let inClass = vec4u(u32(label[n * voxels + v])) == classes;
    let at = rows * voxels + v;
    sum += mat4x4f(
      select(vec4f(), vec4f(f32(features[at.x])), inClass),
      select(vec4f(), vec4f(f32(features[at.y])), inClass),
      select(vec4f(), vec4f(f32(features[at.z])), inClass),
      select(vec4f(), vec4f(f32(features[at.w])), inClass),
    );
  }
  let total = reduce(thread, sum);
  if (thread >= 4u || first + thread > most) { return; }
  let samples = groups.y / quads;
  let row = (group.z * samples + n) * params.channels + first + thread;
  sums[row * groups.x + group.x] = total[thread];
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
  let total = reduce(thread, mat4x4f(sum, vec4f(), vec4f(), vec4f()))[0];
  let k = 4u * group.y + thread;
  if (thread >= 4u || k >= params.classes) { return; }
  let nk = row / params.channels * params.classes + k;
  y[nk * params.channels + row % params.channels] = total[thread] / (counts[nk] + params.eps);
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let voxels = params.voxels;
  let n = group.y / params.channels;
  let f = group.y % params.channels;
  let run = runOf(group.x, thread);
  for (var v = run.x; v < run.y; v += 8u) {
    let nk = n * params.classes + u32(label[n * voxels + v]);
    dfeatures[group.y * voxels + v] = real(dy[nk * params.channels + f] / (counts[nk] + params.eps));
  }
}

// The first voxel of an invocation and the end of its run. Eight invocations share a run, each with every
// eighth voxel: drivers of eight lanes and caches read in order, others whole sectors of 32 bytes.
fn runOf(chunk: u32, thread: u32) -> vec2u {
  let length = 8u * CHUNK / WG;
  let begin = chunk * CHUNK + thread / 8u * length;
  return vec2u(begin + thread % 8u, min(begin + length, params.voxels));
}

// The sum over the workgroup: of every eighth invocation, then of those eight. WG is a multiple of 8.
fn reduce(thread: u32, value: mat4x4f) -> mat4x4f {
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
