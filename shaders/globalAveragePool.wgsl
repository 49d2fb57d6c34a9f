// The mean of each channel of each sample.   x [N·C,V] → y [N·C]
//   y[r] = Σ_v x[r,v] / V        dx[r,v] = dy[r] / V
//
// partialSums: a workgroup (chunk, row) adds up CHUNK voxels. combine: a workgroup adds up the partial sums of a
// row. Both add in one fixed order: strided by thread, then a tree.

override WG: u32 = 64;      // a power of two

const CHUNK = 4096u;

struct Params {
  voxels: u32,              // V
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;         // [N·C,chunks]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn partialSums(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let end = min((group.x + 1u) * CHUNK, params.voxels);
  var sum = 0.0;
  for (var v = group.x * CHUNK + thread; v < end; v += WG) { sum += x[group.y * params.voxels + v]; }
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
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx)) { return; }
  dx[i] = dy[i / params.voxels] / f32(params.voxels);
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
