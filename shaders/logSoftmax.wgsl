// The logarithm of the softmax over channels.   x, y [N,C,V]; an invocation handles one voxel of one sample.
//   y[c] = x[c] - max - log Σ_k exp(x[k] - max)          the maximum is subtracted so that nothing overflows
//   dx[c] = dy[c] - exp(y[c]) · Σ_k dy[k]

override WG: u32 = 64;

struct Params {
  channels: u32,                        // C
  voxels: u32,                          // V
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y) / params.channels) { return; }
  let start = i / params.voxels * params.channels * params.voxels + i % params.voxels;
  let end = start + params.channels * params.voxels;

  var largest = x[start];
  for (var j = start; j < end; j += params.voxels) { largest = max(largest, x[j]); }
  var sum = 0.0;
  for (var j = start; j < end; j += params.voxels) { sum += exp(x[j] - largest); }
  let logSum = log(sum);
  for (var j = start; j < end; j += params.voxels) { y[j] = x[j] - largest - logSum; }
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx) / params.channels) { return; }
  let start = i / params.voxels * params.channels * params.voxels + i % params.voxels;
  let end = start + params.channels * params.voxels;

  var sum = 0.0;
  for (var j = start; j < end; j += params.voxels) { sum += dy[j]; }
  for (var j = start; j < end; j += params.voxels) { dx[j] = dy[j] - exp(y[j]) * sum; }
}
