// Convolutions of 2³ taps at stride 2, between a large grid q = 2p + k and a small grid p, as products of
// matrices out of workgroup memory, for GPUs. No two taps of a window meet the same voxel, so that
// everything is a plain product of M rows, N columns and a depth, with rows ck = 8c + k of channels and taps:
//   gather   small[o,p]  = bias[o] + Σ_ck weight[o,ck] · large[ck,p]     M = O,  N = voxels p,  depth 8C
//   scatter  large[ck,p] = bias[c] + Σ_o  weight[o,ck] · small[o,p]      M = 8C, N = voxels p,  depth O
//   pair     weight[o,ck] =          Σ_np small[o,np]  · large[ck,np]    M = O,  N = 8C, depth: all voxels
//
// A workgroup computes a tile of BM rows and BN columns; an invocation computes 8 rows of 4 columns, which in
// scatter are the eight taps of a channel. `splits` workgroups share the depth of pair (then conv3d's
// sumSplits).

alias real = f32;

const BM = 32u;             // rows of a tile
const BN = 64u;             // columns
const BK = 16u;             // depth that is held in workgroup memory
const NT = 64u;             // invocations: BM/8 · BN/4, as in @workgroup_size

struct Params {
  largeSize: vec3u,         // D, H, W
  largeChannels: u32,       // C
  smallSize: vec3u,
  smallChannels: u32,       // O
  batch: u32,               // N
  biased: u32,              // 1 if there is a bias
  splits: u32,              // shares of the depth in pair
  first: u32,               // first invocation
}

@group(0) @binding(0) var<storage, read> large: array<real>;
@group(0) @binding(1) var<storage, read> small: array<real>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<real>;
@group(0) @binding(5) var<storage, read_write> partial: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> left: array<vec4f, BK * BM / 4u>;         // [BK, BM]
var<workgroup> right: array<vec4f, BK * BN / 4u>;        // [BK, BN]

/* A workgroup's first row and column, and its sample or share. */
struct Tile { row: u32, column: u32, rest: u32 }

@compute @workgroup_size(64)
fn gather(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let voxels = voxelsOf(params.smallSize);
  let tile = tileOf(group, groups, params.smallChannels, voxels);
  if (tile.rest >= params.batch) { return; }             // all invocations alike
  var sums: array<vec4f, 8>;
  for (var d = 0u; d < 8u * params.largeChannels; d += BK) {
    workgroupBarrier();                                  // all have read the part before
    for (var j = lane; j < BK * BM; j += NT) {
      let at = vec2u(j % BK, j / BK);                    // neighbours in memory
      putLeft(at, weightAt(tile.row + at.y, d + at.x));
    }
    for (var j = lane; j < BK * BN; j += NT) {
      let at = vec2u(j / BN, j % BN);
      putRight(at, largeAt(tile.rest, d + at.x, tile.column + at.y));
    }
    workgroupBarrier();
    multiply(&sums, lane);
  }
  let o = rowOf(tile, lane);
  let p = columnOf(tile, lane);
  for (var r = 0u; r < 8u; r++) {
    for (var j = 0u; j < 4u; j++) {
      if (o + r < params.smallChannels && p + j < voxels) {
        y[(tile.rest * params.smallChannels + o + r) * voxels + p + j] = real(biasOf(o + r) + sums[r][j]);
      }
    }
  }
}

@compute @workgroup_size(64)
fn scatter(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let voxels = voxelsOf(params.smallSize);
  let tile = tileOf(group, groups, 8u * params.largeChannels, voxels);
  if (tile.rest >= params.batch) { return; }
  var sums: array<vec4f, 8>;
  for (var d = 0u; d < params.smallChannels; d += BK) {
    workgroupBarrier();
    for (var j = lane; j < BK * BM; j += NT) {
      let at = vec2u(j / BM, j % BM);
      putLeft(at, weightAt(d + at.x, tile.row + at.y));
    }
    for (var j = lane; j < BK * BN; j += NT) {
      let at = vec2u(j / BN, j % BN);
      putRight(at, smallAt(tile.rest, d + at.x, tile.column + at.y));
    }
    workgroupBarrier();
    multiply(&sums, lane);
  }
  let c = rowOf(tile, lane) / 8u;
  let p = columnOf(tile, lane);
  if (c >= params.largeChannels) { return; }
  let channel = (tile.rest * params.largeChannels + c) * voxelsOf(params.largeSize);
  for (var k = 0u; k < 8u; k++) {
    for (var j = 0u; j < 4u; j++) {
      if (p + j < voxels) { y[channel + placeOf(p + j, k)] = real(biasOf(c) + sums[k][j]); }
    }
  }
}

@compute @workgroup_size(64)
fn pair(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let columns = 8u * params.largeChannels;
  let tile = tileOf(group, groups, params.smallChannels, columns);
  let split = tile.rest;
  if (split >= params.splits) { return; }
  let voxels = voxelsOf(params.smallSize);
  let depth = params.batch * voxels;
  let share = (depth + params.splits - 1u) / params.splits;
  let end = min((split + 1u) * share, depth);
  var sums: array<vec4f, 8>;
  for (var d = split * share; d < end; d += BK) {
    workgroupBarrier();
    for (var j = lane; j < BK * BM; j += NT) {
      let at = vec2u(j % BK, j / BK);
      let n = select(params.batch, (d + at.x) / voxels, d + at.x < end); // no sample beyond the share
      putLeft(at, smallAt(n, tile.row + at.y, (d + at.x) % voxels));
    }
    for (var j = lane; j < BK * BN; j += NT) {
      let at = vec2u(j % BK, j / BK);
      let n = select(params.batch, (d + at.x) / voxels, d + at.x < end);
      putRight(at, largeAt(n, tile.column + at.y, (d + at.x) % voxels));
    }
    workgroupBarrier();
    multiply(&sums, lane);
  }
  let o = rowOf(tile, lane);
  let ck = columnOf(tile, lane);
  for (var r = 0u; r < 8u; r++) {
    for (var j = 0u; j < 4u; j++) {
      if (o + r < params.smallChannels && ck + j < columns) {
        partial[(split * params.smallChannels + o + r) * columns + ck + j] = sums[r][j];
      }
    }
  }
}

fn tileOf(group: vec3u, groups: vec3u, rows: u32, columns: u32) -> Tile {
  let i = params.first / NT + group.x + group.y * groups.x;
  let down = (rows + BM - 1u) / BM;
  let across = (columns + BN - 1u) / BN;
  return Tile(i % down * BM, i / down % across * BN, i / down / across);
}

/* The first row and column of an invocation. */
fn rowOf(tile: Tile, lane: u32) -> u32 { return tile.row + lane / (BN / 4u) * 8u; }
fn columnOf(tile: Tile, lane: u32) -> u32 { return tile.column + lane % (BN / 4u) * 4u; }

/* Elements of the left and the right matrix, at their place in depth and along a side of the tile. */
fn putLeft(at: vec2u, value: f32) { left[at.x * (BM / 4u) + at.y / 4u][at.y % 4u] = value; }
fn putRight(at: vec2u, value: f32) { right[at.x * (BN / 4u) + at.y / 4u][at.y % 4u] = value; }

/* Adds the products of the part of the depth in workgroup memory, in order. */
fn multiply(sums: ptr<function, array<vec4f, 8>>, lane: u32) {
  let l = lane / (BN / 4u) * 2u;
  let r = lane % (BN / 4u);
  for (var k = 0u; k < BK; k++) {
    let a = left[k * (BM / 4u) + l];
    let b = left[k * (BM / 4u) + l + 1u];
    let v = right[k * (BN / 4u) + r];
    (*sums)[0] = fma(vec4f(a.x), v, (*sums)[0]);
    (*sums)[1] = fma(vec4f(a.y), v, (*sums)[1]);
    (*sums)[2] = fma(vec4f(a.z), v, (*sums)[2]);
    (*sums)[3] = fma(vec4f(a.w), v, (*sums)[3]);
    (*sums)[4] = fma(vec4f(b.x), v, (*sums)[4]);
    (*sums)[5] = fma(vec4f(b.y), v, (*sums)[5]);
    (*sums)[6] = fma(vec4f(b.z), v, (*sums)[6]);
    (*sums)[7] = fma(vec4f(b.w), v, (*sums)[7]);
  }
}

/* 0 beyond the last channel of the small grid, and beyond the last channel and tap of the large one. */
fn weightAt(o: u32, ck: u32) -> f32 {
  let held = o < params.smallChannels && ck < 8u * params.largeChannels;
  return select(0.0, weight[select(0u, o * 8u * params.largeChannels + ck, held)], held);
}

/* 0 beyond the last sample, channel or voxel. */
fn smallAt(n: u32, o: u32, p: u32) -> f32 {
  let voxels = voxelsOf(params.smallSize);
  let held = n < params.batch && o < params.smallChannels && p < voxels;
  return select(0.0, f32(small[select(0u, (n * params.smallChannels + o) * voxels + p, held)]), held);
}

/* The same, where tap k of voxel p of the small grid meets channel c, with ck = 8c + k. */
fn largeAt(n: u32, ck: u32, p: u32) -> f32 {
  let held = n < params.batch && ck < 8u * params.largeChannels && p < voxelsOf(params.smallSize);
  let at = (n * params.largeChannels + ck / 8u) * voxelsOf(params.largeSize) + placeOf(p, ck % 8u);
  return select(0.0, f32(large[select(0u, at, held)]), held);
}

/* The voxel of the large grid that tap k of voxel p of the small grid meets. */
fn placeOf(p: u32, k: u32) -> u32 {
  let size = params.smallSize;
  let z = 2u * (p / (size.y * size.z)) + k / 4u;
  let y = 2u * (p / size.z % size.y) + k / 2u % 2u;
  let x = 2u * (p % size.z) + k % 2u;
  return (z * params.largeSize.y + y) * params.largeSize.z + x;
}

fn voxelsOf(size: vec3u) -> u32 { return size.x * size.y * size.z; }

fn biasOf(c: u32) -> f32 { return select(0.0, bias[c], params.biased == 1u); }
