// The sum of each channel over samples and voxels.   x [N,C,V] → y [C]
//   y[c] = Σ_{n,v} x[n,c,v]        dx[n,c,v] = dy[c]
//
// partialSums, backward: a workgroup (chunk, c, n) takes one chunk of a row of V voxels. forward: a workgroup
// adds the partial sums of one channel. whole: a workgroup adds a whole small channel. The order is fixed:
// sums of each invocation, then of every eighth invocation, then of those eight.

alias real = f32;

override WG: u32 = 64;                  // a multiple of 8

const CHUNK = 4096u;                    // voxels

struct Params {
  channels: u32,                        // C
  voxels: u32,                          // V
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;     // [C, N, chunks]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<real>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

/* The sum over a workgroup. */
fn total(lane: u32, value: f32) -> f32 {
  tree[lane] = value;
  workgroupBarrier();
  if (lane < 8u) {
    for (var i = lane + 8u; i < WG; i += 8u) { tree[lane] += tree[i]; }
  }
  workgroupBarrier();
  var sum = tree[0];
  for (var i = 1u; i < 8u; i++) { sum += tree[i]; }
  return sum;
}

@compute @workgroup_size(WG)
fn partialSums(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let chunk = group.x;  let c = group.y;  let n = group.z;
  let row = (n * params.channels + c) * params.voxels;
  let run = runOf(chunk, lane);
  var sum = 0.0;
  for (var v = run.x; v < run.y; v += 8u) { sum += f32(x[row + v]); }
  sum = total(lane, sum);
  if (lane == 0) { partial[(c * groups.z + n) * groups.x + chunk] = sum; }
}

@compute @workgroup_size(WG)
fn forward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let c = group.x;
  let count = arrayLength(&partial) / arrayLength(&y);
  var sum = 0.0;
  for (var i = lane; i < count; i += WG) { sum += partial[c * count + i]; }
  sum = total(lane, sum);
  if (lane == 0) { y[c] = sum; }
}

@compute @workgroup_size(WG)
fn whole(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let c = group.x;
  let plane = params.channels * params.voxels;
  var sum = 0.0;
  for (var sample = c * params.voxels; sample < arrayLength(&x); sample += plane) {
    for (var v = lane; v < params.voxels; v += WG) { sum += f32(x[sample + v]); }
  }
  sum = total(lane, sum);
  if (lane == 0) { y[c] = sum; }
}

@compute @workgroup_size(WG)
fn backward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let row = (group.z * params.channels + group.y) * params.voxels;
  let run = runOf(group.x, lane);
  let value = real(dy[group.y]);
  for (var v = run.x; v < run.y; v += 8u) { dx[row + v] = value; }
}

// The first voxel of an invocation and the end of its run. Eight invocations share a run, each with every
// eighth voxel: drivers of eight lanes and caches read in order, others whole sectors of 32 bytes.
fn runOf(chunk: u32, thread: u32) -> vec2u {
  let length = 8u * CHUNK / WG;
  let begin = chunk * CHUNK + thread / 8u * length;
  return vec2u(begin + thread % 8u, min(begin + length, params.voxels));
}
