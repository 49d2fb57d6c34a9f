// The sum of each channel over samples and voxels.   x [N,C,V] → y [C]
//   y[c] = Σ_{n,v} x[n,c,v]        dx[n,c,v] = dy[c]
//
// partialSums: a workgroup (chunk, c, n) adds up one chunk of a row of V voxels. forward: a workgroup adds up
// the partial sums of one channel. whole: a workgroup adds up all of a channel, where that is little. All add in one fixed order: strided by thread, then a tree.

alias real = f32;

override WG: u32 = 64;                  // a power of two

struct Params {
  channels: u32,                        // C
  voxels: u32,                          // V
  chunk: u32,                           // voxels of a chunk
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;     // [C, N, chunks]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

fn total(lane: u32, value: f32) -> f32 {
  tree[lane] = value;
  for (var half = WG / 2; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) { tree[lane] += tree[lane + half]; }
  }
  return tree[0];                       // for lane 0 only
}

@compute @workgroup_size(WG)
fn partialSums(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let chunk = group.x;  let c = group.y;  let n = group.z;
  let row = (n * params.channels + c) * params.voxels;
  let end = min((chunk + 1) * params.chunk, params.voxels);
  var sum = 0.0;
  for (var v = chunk * params.chunk + lane; v < end; v += WG) { sum += f32(x[row + v]); }
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
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx)) { return; }
  dx[i] = dy[i / params.voxels % params.channels];
}
