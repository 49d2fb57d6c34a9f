// Softmax over channels.   x, y [N,C,V]; an invocation handles one voxel of one sample.
//   y[c] = exp(x[c] - max) / Σ_k exp(x[k] - max)         the maximum is subtracted so that nothing overflows
//   dx[c] = y[c] · (dy[c] - Σ_k y[k]·dy[k])
// Where one y is nearly 1, dy[c] - Σ cancels to nothing for that c. So dy is taken relative to its value
// at the largest y, which changes neither difference and makes that channel's terms small.

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
  for (var j = start; j < end; j += params.voxels) { y[j] = exp(x[j] - largest) / sum; }
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx) / params.channels) { return; }
  let start = i / params.voxels * params.channels * params.voxels + i % params.voxels;
  let end = start + params.channels * params.voxels;

  var top = start;
  for (var j = start; j < end; j += params.voxels) { top = select(top, j, y[j] > y[top]); }
  var sum = 0.0;
  for (var j = start; j < end; j += params.voxels) { sum += y[j] * (dy[j] - dy[top]); }
  for (var j = start; j < end; j += params.voxels) { dx[j] = y[j] * ((dy[j] - dy[top]) - sum); }
}
