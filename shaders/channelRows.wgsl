// The channels of each voxel as a row.   x [N,C,V] → y [N·V,C]
//   y[n·V + v, c] = x[n,c,v]        dx[n,c,v] = dy[n·V + v, c]
//
// An invocation takes one element of the result.

alias real = f32;

override WG: u32 = 64;

struct Params {
  channels: u32,            // C
  voxels: u32,              // V, of a sample
}

@group(0) @binding(0) var<storage, read> x: array<real>;                 // [N,C,V]
@group(0) @binding(1) var<storage, read_write> y: array<f32>;            // [N·V,C]
@group(0) @binding(2) var<storage, read> dy: array<f32>;                 // [N·V,C]
@group(0) @binding(3) var<storage, read_write> dx: array<real>;          // [N,C,V]
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  let row = i / params.channels;
  let channel = row / params.voxels * params.channels + i % params.channels;
  y[i] = f32(x[channel * params.voxels + row % params.voxels]);
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx)) { return; }
  let channel = i / params.voxels;
  let row = channel / params.channels * params.voxels + i % params.voxels;
  dx[i] = real(dy[row * params.channels + channel % params.channels]);
}
