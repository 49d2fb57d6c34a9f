// The mean of each channel of each sample.   x [N·C,V] → y [N·C]
//   y[r] = Σ_v x[r,v] / V        dx[r,v] = dy[r] / V
//
// partialSums, backward: a workgroup (chunk, row) takes CHUNK voxels. combine: a workgroup adds the partial
// sums of a row. The order is fixed: sums of each invocation, then that of reduce().

alias real = f32;

override WG: u32 = 64;      // a multiple of 8

const CHUNK = 4096u;

struct Params {
  voxels: u32,              // V
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;         // [N·C,chunks]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<real>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn partialSums(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let run = runOf(group.x, thread);
  var sum = 0.0;
  for (var v = run.x; v < run.y; v += 8u) { sum += f32(x[group.y * params.voxels + v]); }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[group.y * groups.x + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let chunks = arrayLength(&sums) / arrayLength(&y);
  var sum = 0.0;
  for (var i = thread; i < chunks; i += WG) { sum += sums[group.y * chunks + i]; }
  let total = reduce(thread, sum);
  if (thread == 0u) { y[group.y] = total / f32(params.voxels); }
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let run = runOf(group.x, thread);
  let value = real(dy[group.y] / f32(params.voxels));
  for (var v = run.x; v < run.y; v += 8u) { dx[group.y * params.voxels + v] = value; }
}

// The first voxel of an invocation and the end of its run. Eight invocations share a run, each with every
// eighth voxel: drivers of eight lanes and caches read in order, others whole sectors of 32 bytes.
fn runOf(chunk: u32, thread: u32) -> vec2u {
  let length = 8u * CHUNK / WG;
  let begin = chunk * CHUNK + thread / 8u * length;
  return vec2u(begin + thread % 8u, min(begin + length, params.voxels));
}

// The sum over the workgroup: of every eighth invocation, then of those eight.
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
