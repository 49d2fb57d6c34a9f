enable subgroups;

// The forward pass of 3³ at stride 1, for subgroups of at least 8 lanes.
//   y [n,o,p] = bias[o] + Σ_{c,k} weight[o,c,k] · x[n,c, p + k - 1]
//
// An invocation computes two rows of TW voxels for TO output channels. All invocations of a workgroup work on
// the same channels, so lane t of each eight loads the weight of channel o + t and broadcasts it to the
// others. A plane of taps takes 4·(TW + 2) + 9 loads, which decide the time on software adapters, for
// 9·TO·2·TW multiply-adds. Nothing may branch before the last broadcast, so voxels outside count as zero.
//
// The 9 products of a plane are summed before they join the sum: short sums round less. Loops over arrays
// have the arrays' lengths: they are unrolled, and the arrays stay in registers.

alias real = f32;

override WG: u32 = 64u;

const TO = 8u;              // output channels of a tile
const TW = 8u;              // voxels along W of a tile
const TH = 2u;              // and along H

struct Params {
  size: vec3u,              // D, H, W
  inputs: u32,              // C
  outputs: u32,             // O
  tiles: u32,               // tiles of a volume, rounded up to whole workgroups
  batch: u32,               // N
  biased: u32,              // 1 if there is a bias
  outputStride: u32,        // elements of weight from one output channel to the next
  inputStride: u32,         // and from one input channel to the next
  reversed: u32,            // 1 if its taps are in reverse
  first: u32,               // first invocation
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<real>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let size = params.size;
  let blocks = (params.outputs + TO - 1u) / TO;
  let last = params.outputs - 1u;

  let i = params.first + id.x + id.y * groups.x * WG;
  let o = i / params.tiles % blocks * TO;
  let n = min(i / params.tiles / blocks, params.batch - 1u);
  let across = (size.z + TW - 1u) / TW;                  // tiles along W
  let down = (size.y + TH - 1u) / TH;                    // tiles along H
  let tile = i % params.tiles;
  let qx = tile % across * TW;
  let qy = tile / across % down * TH;
  let qz = tile / across / down;                         // beyond the volume in the last workgroup

  let mine = min(o + (lane & 7u), last) * params.outputStride;
  var low0: array<vec4f, TW>;                            // sums of channels o … o+3, by voxel of row 1
  var low1: array<vec4f, TW>;
  var high0: array<vec4f, TW>;                           // and of o+4 … o+7
  var high1: array<vec4f, TW>;

  for (var c = 0u; c < params.inputs; c++) {
    for (var kz = 0u; kz < 3u; kz++) {
      let z = qz + kz - 1u;                              // below zero it wraps and fails the bounds check
      let plane = ((n * params.inputs + c) * size.x + min(z, size.x - 1u)) * size.y;
      let a = voxels(plane, qy - 1u, qx, z < size.x);
      let b = voxels(plane, qy, qx, z < size.x);
      let d = voxels(plane, qy + 1u, qx, z < size.x);
      let e = voxels(plane, qy + 2u, qx, z < size.x);
      var wl: array<vec4f, 9>;
      var wh: array<vec4f, 9>;
      for (var k = 0u; k < 9u; k++) {
        let tap = kz * 9u + k;
        let w = weight[mine + c * params.inputStride + select(tap, 26u - tap, params.reversed == 1u)];
        wl[k] = vec4f(subgroupBroadcast(w, 0u), subgroupBroadcast(w, 1u), subgroupBroadcast(w, 2u), subgroupBroadcast(w, 3u));
        wh[k] = vec4f(subgroupBroadcast(w, 4u), subgroupBroadcast(w, 5u), subgroupBroadcast(w, 6u), subgroupBroadcast(w, 7u));
      }
      for (var v = 0u; v < TW; v++) {
        low0[v] += products(wl, a, b, d, v);
        high0[v] += products(wh, a, b, d, v);
        low1[v] += products(wl, b, d, e, v);
        high1[v] += products(wh, b, d, e, v);
      }
    }
  }

  if (qz >= size.x || i >= params.tiles * blocks * params.batch) { return; }
  let volume = size.x * size.y * size.z;
  let corner = n * params.outputs * volume + (qz * size.y + qy) * size.z + qx;
  for (var t = 0u; t < TO; t++) {
    if (o + t <= last) {
      let start = select(0.0, bias[o + t], params.biased == 1u);
      let at = corner + (o + t) * volume;
      for (var v = 0u; v < TW; v++) {
        if (qx + v < size.z) {
          y[at + v] = real(start + select(high0[v][t & 3u], low0[v][t & 3u], t < 4u));
          if (qy + 1u < size.y) { y[at + size.z + v] = real(start + select(high1[v][t & 3u], low1[v][t & 3u], t < 4u)); }
        }
      }
    }
  }
}

// Voxels qx-1 … qx+TW of row py of a plane; zeros outside the volume.
fn voxels(plane: u32, py: u32, qx: u32, inside: bool) -> array<f32, TW + 2u> {
  let size = params.size;
  let row = (plane + min(py, size.y - 1u)) * size.z;
  var line: array<f32, TW + 2u>;
  for (var v = 0u; v < TW + 2u; v++) {
    let px = qx + v - 1u;
    line[v] = select(0.0, f32(x[row + min(px, size.z - 1u)]), inside && py < size.y && px < size.z);
  }
  return line;
}

// The products of a plane of taps for voxel v, from the rows before, at and after it.
fn products(
  w: array<vec4f, 9>,
  before: array<f32, TW + 2u>,
  here: array<f32, TW + 2u>,
  after: array<f32, TW + 2u>,
  v: u32,
) -> vec4f {
  var sum = w[0] * before[v];
  sum = fma(w[1], vec4f(before[v + 1u]), sum);
  sum = fma(w[2], vec4f(before[v + 2u]), sum);
  sum = fma(w[3], vec4f(here[v]), sum);
  sum = fma(w[4], vec4f(here[v + 1u]), sum);
  sum = fma(w[5], vec4f(here[v + 2u]), sum);
  sum = fma(w[6], vec4f(after[v]), sum);
  sum = fma(w[7], vec4f(after[v + 1u]), sum);
  return fma(w[8], vec4f(after[v + 2u]), sum);
}
