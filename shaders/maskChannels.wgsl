// The channels of x that a mask keeps, 0 elsewhere; then the mask, a constant plane for each channel.
// x [N,C,V], mask [N,C] → y [N,2C,V]
//   y[n,c,v] = x[n,c,v] if mask[n,c] ≠ 0, else 0        y[n,C+c,v] = mask[n,c]
//   dx[n,c,v] = dy[n,c,v] if mask[n,c] ≠ 0, else 0
//
// A workgroup (part, c, n) makes WG·EACH voxels of a channel and, forward, of its plane.

alias real = f32;

override WG: u32 = 64;
const EACH = 16u;                       // voxels of an invocation, WG apart

struct Params {
  channels: u32,            // C
  voxels: u32,              // V
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> mask: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<real>;
@group(0) @binding(3) var<storage, read> dy: array<real>;
@group(0) @binding(4) var<storage, read_write> dx: array<real>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let start = group.x * WG * EACH;
  let end = min(start + WG * EACH, params.voxels);
  let kept = mask[group.z * params.channels + group.y];
  let channel = (group.z * params.channels + group.y) * params.voxels;
  let image = (2u * group.z * params.channels + group.y) * params.voxels;
  let plane = image + params.channels * params.voxels;
  for (var v = start + lane; v < end; v += WG) {
    y[image + v] = select(real(0), x[channel + v], kept != 0.0);
    y[plane + v] = real(kept);
  }
}

@compute @workgroup_size(WG)
fn backward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let start = group.x * WG * EACH;
  let end = min(start + WG * EACH, params.voxels);
  let kept = mask[group.z * params.channels + group.y];
  let channel = (group.z * params.channels + group.y) * params.voxels;
  let image = (2u * group.z * params.channels + group.y) * params.voxels;
  for (var v = start + lane; v < end; v += WG) { dx[channel + v] = select(real(0), dy[image + v], kept != 0.0); }
}
