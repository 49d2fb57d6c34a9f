enable subgroups;

// 3³ at stride 1, for subgroups of exactly eight lanes, as software adapters have.
//   y [n,o,p] = bias[o] + Σ_{c,k} weight[o,c,k] · x[n,c, p + k - 1]   (forward)
//   dw[o,c,k] =           Σ_{n,p} dy[n,o,p]     · x[n,c, p + k - 1]   (backwardWeight, then sumSplits)
//
// A workgroup is one subgroup; its lanes are eight output channels. A software adapter gathers a load lane by
// lane, as long as some twenty multiply-adds; a broadcast takes as long as one or two. So a load brings eight
// voxels of a row, one per lane, and broadcasts give them to all lanes. Code beyond the instruction cache
// costs most after loads, so a loop body has at most some 600 multiply-adds.
//
// forward: eight rows of eight voxels. For a plane of taps it loads 10 rows, their 20 edges and 9 weights.
// It can also write the moments of its tiles, which a norm merges (instanceNorm.wgsl).
//
// backwardWeight: the 3x3 taps of one kz for TC input channels, over one of `splits` shares of the pairs of
// rows of dy, STRIP voxels at a time: these meet STRIP + 2 voxels of four rows of x.
//
// The 9 products of a plane, or the 2·STRIP of a strip, are summed before they join the sum: short sums round
// less. Loops over arrays have the arrays' lengths: they are unrolled, and the arrays stay in registers.

alias real = f32;

override moments: bool = false;  // true if forward writes the moments

const LANES = 8u;
const T = 8u;               // voxels along H and W of a tile
const TC = 4u;              // input channels of backwardWeight
const STRIP = 6u;           // voxels along W that backwardWeight reads at a time

struct Params {
  size: vec3u,              // D, H, W
  inputs: u32,              // C
  outputs: u32,             // O
  batch: u32,               // N
  biased: u32,              // 1 if there is a bias
  outputStride: u32,        // elements of weight from one output channel to the next
  inputStride: u32,         // and from one input channel to the next
  reversed: u32,            // 1 if its taps are in reverse
  splits: u32,              // shares of the pairs of rows in backwardWeight
  first: u32,               // first invocation
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<real>;
@group(0) @binding(4) var<storage, read_write> momentsOfTiles: array<vec4f>; // [N,O,tiles]
@group(0) @binding(5) var<storage, read> dy: array<real>;
@group(0) @binding(6) var<storage, read_write> partial: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

@compute @workgroup_size(8)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = params.size;
  let blocks = (params.outputs + LANES - 1u) / LANES;
  let across = (size.z + T - 1u) / T;                    // tiles along W
  let down = (size.y + T - 1u) / T;                      // tiles along H
  let tiles = size.x * down * across;

  let i = params.first / LANES + group.x + group.y * groups.x;
  let o = i % blocks * LANES + lane;                     // this lane's output channel
  let tile = i / blocks % tiles;
  let n = i / blocks / tiles;
  if (n >= params.batch) { return; }                     // all lanes alike
  let qx = tile % across * T;
  let qy = tile / across % down * T;
  let qz = tile / across / down;

  let column = qx + lane;                                // this lane loads it; columns outside are zero
  let columnHeld = column < size.z;
  var rows: array<u32, T + 2u>;                          // where this lane loads in a plane
  for (var r = 0u; r < T + 2u; r++) { rows[r] = min(qy + r - 1u, size.y - 1u) * size.z + min(column, size.z - 1u); }
  let odd = lane & 1u;                                   // lanes 2r and 2r + 1 load the edges of row r
  let edge0 = edgeOf(qy + lane / 2u - 1u, qx - 1u + odd * (T + 1u));
  let edge1 = edgeOf(qy + lane / 2u + 3u, qx - 1u + odd * (T + 1u));
  let edge2 = edgeOf(qy + lane / 2u + 7u, qx - 1u + odd * (T + 1u));
  var taps: array<u32, 9>;
  for (var k = 0u; k < 9u; k++) { taps[k] = select(k, 8u - k, params.reversed == 1u); }
  let mine = min(o, params.outputs - 1u) * params.outputStride;

  var sum0: array<f32, T>;                               // sums of the first row of the tile
  var sum1: array<f32, T>;
  var sum2: array<f32, T>;
  var sum3: array<f32, T>;
  var sum4: array<f32, T>;
  var sum5: array<f32, T>;
  var sum6: array<f32, T>;
  var sum7: array<f32, T>;
  for (var c = 0u; c < params.inputs; c++) {
    for (var kz = 0u; kz < 3u; kz++) {
      let z = qz + kz - 1u;                              // below zero it wraps and fails the bounds check
      let plane = ((n * params.inputs + c) * size.x + min(z, size.x - 1u)) * size.y * size.z;
      let inside = z < size.x;
      let e = eight(select(0.0, f32(x[plane + edge0.at]), inside && edge0.held));
      let f = eight(select(0.0, f32(x[plane + edge1.at]), inside && edge1.held));
      let g = eight(select(0.0, f32(x[plane + edge2.at]), inside && edge2.held));
      let held = inside && columnHeld;
      let a = line(plane + rows[0], held && qy - 1u < size.y, e[0], e[1]);
      let b = line(plane + rows[1], held, e[2], e[3]);
      let d = line(plane + rows[2], held && qy + 1u < size.y, e[4], e[5]);
      let h = line(plane + rows[3], held && qy + 2u < size.y, e[6], e[7]);
      let l = line(plane + rows[4], held && qy + 3u < size.y, f[0], f[1]);
      let m = line(plane + rows[5], held && qy + 4u < size.y, f[2], f[3]);
      let p = line(plane + rows[6], held && qy + 5u < size.y, f[4], f[5]);
      let s = line(plane + rows[7], held && qy + 6u < size.y, f[6], f[7]);
      let u = line(plane + rows[8], held && qy + 7u < size.y, g[0], g[1]);
      let v = line(plane + rows[9], held && qy + 8u < size.y, g[2], g[3]);
      let slab = mine + c * params.inputStride + select(kz, 2u - kz, params.reversed == 1u) * 9u;
      var w: array<f32, 9>;
      for (var k = 0u; k < 9u; k++) { w[k] = weight[slab + taps[k]]; }
      for (var j = 0u; j < T; j++) {
        sum0[j] += products(w, a, b, d, j);
        sum1[j] += products(w, b, d, h, j);
        sum2[j] += products(w, d, h, l, j);
        sum3[j] += products(w, h, l, m, j);
        sum4[j] += products(w, l, m, p, j);
        sum5[j] += products(w, m, p, s, j);
        sum6[j] += products(w, p, s, u, j);
        sum7[j] += products(w, s, u, v, j);
      }
    }
  }

  if (o >= params.outputs) { return; }
  let start = select(0.0, bias[o], params.biased == 1u);
  let volume = size.x * size.y * size.z;
  let corner = (n * params.outputs + o) * volume + (qz * size.y + qy) * size.z + qx;
  let tileRows = array<array<f32, T>, T>(sum0, sum1, sum2, sum3, sum4, sum5, sum6, sum7);
  for (var r = 0u; r < T; r++) {
    for (var j = 0u; j < T; j++) {
      if (qy + r < size.y && qx + j < size.z) { y[corner + r * size.z + j] = real(start + tileRows[r][j]); }
    }
  }
  if (!moments) { return; }
  let shift = sum0[0];
  var mean = 0.0;                                        // the mean of sum - shift
  for (var r = 0u; r < T; r++) {
    for (var j = 0u; j < T; j++) {
      mean += select(0.0, tileRows[r][j] - shift, qy + r < size.y && qx + j < size.z);
    }
  }
  let count = f32(min(T, size.y - qy) * min(T, size.z - qx));
  mean /= count;
  var squares = 0.0;
  for (var r = 0u; r < T; r++) {
    for (var j = 0u; j < T; j++) {
      let difference = select(0.0, tileRows[r][j] - shift - mean, qy + r < size.y && qx + j < size.z);
      squares = fma(difference, difference, squares);
    }
  }
  momentsOfTiles[(n * params.outputs + o) * tiles + tile] = vec4f(count, shift + start, mean, squares);
}

struct Edge { at: u32, held: bool }

// The place of a voxel in a plane; held is false outside it.
fn edgeOf(py: u32, px: u32) -> Edge {
  let size = params.size;
  return Edge(min(py, size.y - 1u) * size.z + min(px, size.z - 1u), py < size.y && px < size.z);
}

// A row of a plane between its two edges. Each lane loads one of its voxels.
fn line(at: u32, held: bool, left: f32, right: f32) -> array<f32, T + 2u> {
  let v = eight(select(0.0, f32(x[at]), held));
  return array<f32, T + 2u>(left, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], right);
}

// The products of a plane of taps for voxel j of a row, from the rows before, at and after it.
fn products(
  w: array<f32, 9>,
  before: array<f32, T + 2u>,
  here: array<f32, T + 2u>,
  after: array<f32, T + 2u>,
  j: u32,
) -> f32 {
  var sum = w[0] * before[j];
  sum = fma(w[1], before[j + 1u], sum);
  sum = fma(w[2], before[j + 2u], sum);
  sum = fma(w[3], here[j], sum);
  sum = fma(w[4], here[j + 1u], sum);
  sum = fma(w[5], here[j + 2u], sum);
  sum = fma(w[6], after[j], sum);
  sum = fma(w[7], after[j + 1u], sum);
  return fma(w[8], after[j + 2u], sum);
}

@compute @workgroup_size(8)
fn backwardWeight(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = params.size;
  let blocks = (params.outputs + LANES - 1u) / LANES;
  let slices = (params.inputs + TC - 1u) / TC;

  var i = params.first / LANES + group.x + group.y * groups.x;
  let kz = i % 3u;                i /= 3u;
  let c = i % slices * TC;        i /= slices;
  let o = i % blocks * LANES + lane;  i /= blocks;       // this lane's output channel
  let split = i;
  if (split >= params.splits) { return; }

  let mine = min(o, params.outputs - 1u);
  let down = (size.y + 1u) / 2u;
  let pairs = params.batch * size.x * down;
  let volume = size.x * size.y * size.z;
  let lastInput = params.inputs - 1u;                    // channels beyond it read its voxels
  let c0 = c * volume;
  let c1 = min(c + 1u, lastInput) * volume;
  let c2 = min(c + 2u, lastInput) * volume;
  let c3 = min(c + 3u, lastInput) * volume;
  var sum0 = Taps();                                     // sums of input channel c
  var sum1 = Taps();                                     // and of c + 1 …
  var sum2 = Taps();
  var sum3 = Taps();

  for (var pair = pairs * split / params.splits; pair < pairs * (split + 1u) / params.splits; pair++) {
    let qy = pair % down * 2u;
    let qz = pair / down % size.x;
    let n = pair / (down * size.x);
    let z = qz + kz - 1u;
    if (z >= size.x) { continue; }
    let row = (n * params.outputs + mine) * volume + (qz * size.y + qy) * size.z;
    let two = qy + 1u < size.y;
    let corner = n * params.inputs * volume + z * size.y * size.z; // in channel 0
    let rows = Rows(
      (max(qy, 1u) - 1u) * size.z,
      qy * size.z,
      min(qy + 1u, size.y - 1u) * size.z,
      min(qy + 2u, size.y - 1u) * size.z,
      qy > 0u,
      two,
      qy + 2u < size.y,
    );
    for (var qx = 0u; qx < size.z; qx += STRIP) {
      var g: array<f32, STRIP>;
      var h: array<f32, STRIP>;                          // from the second row
      for (var v = 0u; v < STRIP; v++) {
        let i = row + min(qx + v, size.z - 1u);
        g[v] = select(0.0, f32(dy[i]), qx + v < size.z);
        h[v] = select(0.0, f32(dy[i + select(0u, size.z, two)]), two && qx + v < size.z);
      }
      let column = qx + lane - 1u;
      let held = column < size.z;
      let at = corner + min(column, size.z - 1u);
      sum0 = plus(sum0, tapsOf(g, h, rows, at + c0, held));
      sum1 = plus(sum1, tapsOf(g, h, rows, at + c1, held));
      sum2 = plus(sum2, tapsOf(g, h, rows, at + c2, held));
      sum3 = plus(sum3, tapsOf(g, h, rows, at + c3, held));
    }
  }

  if (o >= params.outputs) { return; }
  let sums = array<Taps, TC>(sum0, sum1, sum2, sum3);
  for (var t = 0u; t < TC; t++) {
    if (c + t < params.inputs) {
      let at = ((split * params.outputs + o) * params.inputs + c + t) * 27u + kz * 9u;
      let rows = array<vec3f, 3>(sums[t].above, sums[t].here, sums[t].below);
      for (var k = 0u; k < 9u; k++) { partial[at + k] = rows[k / 3u][k % 3u]; }
    }
  }
}

// The nine taps of a plane along W: those of the row above, of the row itself and of the row below.
struct Taps { above: vec3f, here: vec3f, below: vec3f }

fn plus(a: Taps, b: Taps) -> Taps { return Taps(a.above + b.above, a.here + b.here, a.below + b.below); }

// Where four rows of a plane of x begin, from row qy - 1 on, and which of them the plane has; it has row qy.
struct Rows { before: u32, first: u32, second: u32, after: u32, hasBefore: bool, hasSecond: bool, hasAfter: bool }

// The products of two strips, rows qy and qy + 1, for the taps of a channel. Lane v loads voxel v of a row.
fn tapsOf(g: array<f32, STRIP>, h: array<f32, STRIP>, rows: Rows, at: u32, held: bool) -> Taps {
  let a = eight(select(0.0, f32(x[at + rows.before]), held && rows.hasBefore));
  let b = eight(select(0.0, f32(x[at + rows.first]), held));
  let d = eight(select(0.0, f32(x[at + rows.second]), held && rows.hasSecond));
  let e = eight(select(0.0, f32(x[at + rows.after]), held && rows.hasAfter));
  return Taps(strips(g, a, h, b), strips(g, b, h, d), strips(g, d, h, e));
}

// Σ_v g[v] · a[v + kx] + h[v] · b[v + kx], for the three kx.
fn strips(g: array<f32, STRIP>, a: array<f32, 8>, h: array<f32, STRIP>, b: array<f32, 8>) -> vec3f {
  var sum = g[0] * vec3f(a[0], a[1], a[2]);
  for (var v = 1u; v < STRIP; v++) { sum = fma(vec3f(g[v]), vec3f(a[v], a[v + 1u], a[v + 2u]), sum); }
  for (var v = 0u; v < STRIP; v++) { sum = fma(vec3f(h[v]), vec3f(b[v], b[v + 1u], b[v + 2u]), sum); }
  return sum;
}

// The values of all eight lanes.
fn eight(own: f32) -> array<f32, 8> {
  return array<f32, 8>(
    subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u), subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u),
    subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u), subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u),
  );
}
