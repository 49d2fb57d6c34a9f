// y = Σ_c w_c Σ_{n,v} (a - b)² / (N·V·Σ_c w_c)        0 where all weights are 0
//   da = dy · 2 w_c (a - b) / (N·V·Σ_c w_c),  db = -da
//
// partial: a workgroup sums CHUNK elements of one row (n,c) of V elements, in a fixed order.
// combine: one workgroup adds the partials in order, and writes y and scale = 1 / (N·V·Σ_c w_c).
// backward: a workgroup takes CHUNK elements of one row.

override WG: u32 = 64;

const CHUNK = 4096u;

struct Params {
  rows: u32,                // N·C
  channels: u32,            // C, or 0 where every w_c is 1
  voxels: u32,              // V
  sign: f32,                // of the gradient: 1 for da, -1 for db
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>; // [rows, chunks]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> scale: array<f32>;
@group(0) @binding(6) var<storage, read> dy: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y;
  var sum = 0.0;
  let run = runOf(group.x, thread);
  for (var v = run.x; v < run.y; v += 8u) {
    let difference = a[row * params.voxels + v] - b[row * params.voxels + v];
    sum += difference * difference;
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[row * groups.x + group.x] = weightOf(row) * total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < arrayLength(&sums); i += WG) { sum += sums[i]; }
  let total = reduce(thread, sum);
  if (thread != 0u) { return; }
  var count = f32(params.rows * params.voxels);
  if (params.channels > 0u) {
    var used = 0.0;
    for (var c = 0u; c < params.channels; c++) { used += weight[c]; }
    count *= used / f32(params.channels);
  }
  y[0] = select(0.0, total / count, count > 0.0);
  scale[0] = select(0.0, 1.0 / count, count > 0.0);
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.y;
  let factor = params.sign * dy[0] * scale[0] * 2.0 * weightOf(row);
  let run = runOf(group.x, thread);
  for (var v = run.x; v < run.y; v += 8u) {
    let i = row * params.voxels + v;
    dx[i] = factor * (a[i] - b[i]);
  }
}

fn weightOf(row: u32) -> f32 {
  if (params.channels == 0u) { return 1.0; }
  return weight[row % params.channels];
}

// The first voxel of an invocation and the end of its run. Eight invocations share a run, each with every
// eighth voxel: drivers of eight lanes and caches read in order, others whole sectors of 32 bytes.
fn runOf(chunk: u32, thread: u32) -> vec2u {
  let length = 8u * CHUNK / WG;
  let begin = chunk * CHUNK + thread / 8u * length;
  return vec2u(begin + thread % 8u, min(begin + length, params.voxels));
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
