enable subgroups;

// 3³ at stride 1, for subgroups of at least 8 lanes.
//   y [n,o,p] = Σ_{c,k} weight[o,c,k] · x[n,c, p + k - 1]
//
// An invocation computes TW voxels along W for TO output channels. All invocations of a workgroup work on the
// same channels, so lane t of each eight loads the weight of channel o + t and broadcasts it to the others: a
// row of taps loads TW + 2 voxels and 3 weights, instead of 3·TO, for 3·TW·TO multiply-adds. Nothing may
// branch before the last broadcast, so voxels outside count as zero.

alias real = f32;

override WG: u32 = 64u;

const TO = 8u;              // output channels of a tile
const TW = 8u;              // voxels along W of a tile

struct Params {
  size: vec3u,              // D, H, W
  inputs: u32,              // C
  outputs: u32,             // O
  tiles: u32,               // tiles of a volume, rounded up to whole workgroups
  batch: u32,               // N
  first: u32,               // first invocation
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<real>;
@group(0) @binding(3) var<uniform> params: Params;

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
  let tile = i % params.tiles;
  let qx = tile % across * TW;
  let qy = tile / across % size.y;
  let qz = tile / across / size.y;                       // beyond the volume in the last workgroup

  let mine = min(o + (lane & 7u), last) * params.inputs * 27u;
  var low: array<vec4f, TW>;                             // sums of channels o … o+3, by voxel
  var high: array<vec4f, TW>;                            // and of o+4 … o+7

  for (var c = 0u; c < params.inputs; c++) {
    for (var kz = 0u; kz < 3u; kz++) {
      let z = qz + kz - 1u;                              // below zero it wraps and fails the bounds check
      for (var ky = 0u; ky < 3u; ky++) {
        let py = qy + ky - 1u;
        let inside = z < size.x && py < size.y;
        let plane = (n * params.inputs + c) * size.x + min(z, size.x - 1u);
        let row = (plane * size.y + min(py, size.y - 1u)) * size.z;
        var line: array<f32, TW + 2u>;
        for (var v = 0u; v < TW + 2u; v++) {
          let px = qx + v - 1u;
          line[v] = select(0.0, f32(x[row + min(px, size.z - 1u)]), inside && px < size.z);
        }
        for (var kx = 0u; kx < 3u; kx++) {
          let w = weight[mine + ((c * 3u + kz) * 3u + ky) * 3u + kx];
          let wl = vec4f(subgroupBroadcast(w, 0u), subgroupBroadcast(w, 1u), subgroupBroadcast(w, 2u), subgroupBroadcast(w, 3u));
          let wh = vec4f(subgroupBroadcast(w, 4u), subgroupBroadcast(w, 5u), subgroupBroadcast(w, 6u), subgroupBroadcast(w, 7u));
          for (var v = 0u; v < TW; v++) {
            low[v] = fma(wl, vec4f(line[v + kx]), low[v]);
            high[v] = fma(wh, vec4f(line[v + kx]), high[v]);
          }
        }
      }
    }
  }

  if (qz >= size.x || i >= params.tiles * blocks * params.batch) { return; }
  let volume = size.x * size.y * size.z;
  let corner = n * params.outputs * volume + (qz * size.y + qy) * size.z + qx;
  for (var t = 0u; t < TO; t++) {                        // constant bounds keep the sums in registers
    if (o + t <= last) {
      for (var v = 0u; v < TW; v++) {
        let sum = select(high[v][t & 3u], low[v][t & 3u], t < 4u);
        if (qx + v < size.z) { y[corner + (o + t) * volume + v] = real(sum); }
      }
    }
  }
}
