// Features of length 1 over the channels of each voxel.   x, y [N,C,V]
//   y = x / max(‖x‖, eps)
//   dx = (dy - y <y, dy>) / ‖x‖ where ‖x‖ ≥ eps, else dy / eps
// A workgroup takes TILE voxels of one sample, an invocation all channels of a voxel.

alias real = f32;

override WG: u32 = 64;

const TILE = 512u;

struct Params {
  channels: u32,            // C
  voxels: u32,              // V
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read_write> y: array<real>;
@group(0) @binding(2) var<storage, read> dy: array<real>;
@group(0) @binding(3) var<storage, read_write> dx: array<real>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let end = min((group.x + 1u) * TILE, params.voxels);
  for (var v = group.x * TILE + thread; v < end; v += WG) {
    let first = group.y * params.channels * params.voxels + v;
    let factor = 1.0 / max(lengthAt(first), params.eps);
    for (var c = 0u; c < params.channels; c++) {
      let i = first + c * params.voxels;
      y[i] = real(f32(x[i]) * factor);
    }
  }
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let end = min((group.x + 1u) * TILE, params.voxels);
  for (var v = group.x * TILE + thread; v < end; v += WG) {
    let first = group.y * params.channels * params.voxels + v;
    let length = lengthAt(first);
    let factor = 1.0 / max(length, params.eps);
    var along = 0.0;
    for (var c = 0u; c < params.channels; c++) {
      let i = first + c * params.voxels;
      along += f32(x[i]) * factor * f32(dy[i]);
    }
    if (length < params.eps) { along = 0.0; }
    for (var c = 0u; c < params.channels; c++) {
      let i = first + c * params.voxels;
      dx[i] = real((f32(dy[i]) - f32(x[i]) * factor * along) * factor);
    }
  }
}

fn lengthAt(first: u32) -> f32 {
  var square = 0.0;
  for (var c = 0u; c < params.channels; c++) {
    let value = f32(x[first + c * params.voxels]);
    square += value * value;
  }
  return sqrt(square);
}
