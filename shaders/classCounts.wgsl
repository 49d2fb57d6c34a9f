// counts[n,c] = number of voxels of sample n with label c
// weights[c] = 1 - Σ_n counts[n,c] / Σ_{n,k} counts[n,k], as the sum over the other classes k
// everySample[c] = 1 where every sample has counts[n,c] > 0, else 0
//
// partial: a workgroup counts four classes in CHUNK voxels of one sample, in integers.
// combine: a workgroup adds the partial counts of one sample and four classes.

override WG: u32 = 64;

const CHUNK = 4096u;

struct Params {
  batch: u32,               // N
  classes: u32,             // C
  voxels: u32,              // V
}

@group(0) @binding(0) var<storage, read> label: array<f32>;              // [N,V]
@group(0) @binding(1) var<storage, read_write> sums: array<vec4u>;       // [C/4,N,chunks] of four classes
@group(0) @binding(2) var<storage, read_write> counts: array<f32>;       // [N,C]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;            // [C]
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> tree: array<vec4u, WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let classes = 4u * group.z + vec4u(0u, 1u, 2u, 3u);
  var sum = vec4u();
  let run = runOf(group.x, thread);
  for (var v = run.x; v < run.y; v += 8u) {
    sum += vec4u(vec4u(u32(label[group.y * params.voxels + v])) == classes);
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[(group.z * groups.y + group.y) * groups.x + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let chunks = (params.voxels + CHUNK - 1u) / CHUNK;
  var sum = vec4u();
  for (var i = thread; i < chunks; i += WG) { sum += sums[(group.y * params.batch + group.x) * chunks + i]; }
  let total = reduce(thread, sum);
  let k = 4u * group.y + thread;
  if (thread < 4u && k < params.classes) { counts[group.x * params.classes + k] = f32(total[thread]); }
}

@compute @workgroup_size(WG)
fn weights(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.classes) { return; }
  var others = 0.0;
  var all = 0.0;
  for (var i = 0u; i < params.batch * params.classes; i++) {
    all += counts[i];
    others += select(counts[i], 0.0, i % params.classes == id.x);
  }
  y[id.x] = others / max(all, 1.0);
}

@compute @workgroup_size(WG)
fn everySample(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.classes) { return; }
  var every = true;
  for (var n = 0u; n < params.batch; n++) { every = every && counts[n * params.classes + id.x] > 0.0; }
  y[id.x] = f32(every);
}

// The first voxel of an invocation and the end of its run. Eight invocations share a run, each with every
// eighth voxel: drivers of eight lanes and caches read in order, others whole sectors of 32 bytes.
fn runOf(chunk: u32, thread: u32) -> vec2u {
  let length = 8u * CHUNK / WG;
  let begin = chunk * CHUNK + thread / 8u * length;
  return vec2u(begin + thread % 8u, min(begin + length, params.voxels));
}

// The sum over the workgroup: of every eighth invocation, then of those eight. WG is a multiple of 8.
fn reduce(thread: u32, value: vec4u) -> vec4u {
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
