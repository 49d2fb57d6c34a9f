enable subgroups;

// Convolutions of 2³ taps at stride 2, between a large grid q = 2p + k and a small grid p, for subgroups of
// exactly eight lanes. No two taps of a window meet the same voxel, so each sum is a product of matrices.
//   gather   small[n,o,p]  = bias[o] + Σ_{c,k} weight[o,c,k] · large[n,c, 2p + k]
//   scatter  large[n,c,q]  = bias[c] + Σ_o     weight[o,c,k] · small[n,o,p]
//   pair     weight[o,c,k] =           Σ_{n,p} small[n,o,p]  · large[n,c, 2p + k]   (then conv3d's sumSplits)
//
// A workgroup is one subgroup. As in conv3dEight.wgsl its lanes are eight channels of the result (in pair, of
// o); a load brings eight neighbours of a row, one per lane, and broadcasts give them to all lanes. The rows
// of the small grid are numbered across its planes, so that small volumes fill a tile too.
//
// gather: 8 rows of 4 voxels for two blocks of 8 channels. scatter: a row of 8 voxels, which are 64 of the
// large grid. pair: the 8 taps of TC channels of the large grid and two blocks of 8 channels of the small
// one, over one of `splits` shares of the rows.
//
// Loops over arrays have the arrays' lengths: they are unrolled, and the arrays stay in registers.

alias real = f32;

const LANES = 8u;
const R = 8u;               // rows of gather's tile
const TC = 4u;              // large channels of pair

struct Params {
  largeSize: vec3u,         // D, H, W
  largeChannels: u32,       // C
  smallSize: vec3u,
  smallChannels: u32,       // O
  batch: u32,               // N
  biased: u32,              // 1 if there is a bias
  splits: u32,              // shares of the rows in pair
  first: u32,               // first invocation
}

@group(0) @binding(0) var<storage, read> large: array<real>;
@group(0) @binding(1) var<storage, read> small: array<real>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<real>;
@group(0) @binding(5) var<storage, read_write> partial: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(8)
fn gather(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = params.smallSize;
  let width = params.largeSize.z;
  let rows = size.x * size.y;
  let blocks = (params.smallChannels + 2u * LANES - 1u) / (2u * LANES);
  let across = (size.z + 3u) / 4u;
  let tiles = (rows + R - 1u) / R * across;

  let i = params.first / LANES + group.x + group.y * groups.x;
  let o = i % blocks * 2u * LANES + lane;
  let tile = i / blocks % tiles;
  let n = i / blocks / tiles;
  if (n >= params.batch) { return; }
  let qx = tile % across * 4u;
  let row = tile / across * R;

  let column = min(2u * qx + lane, 2u * size.z - 1u);
  let own = min(row + lane, rows - 1u);                  // each lane finds where one row lies
  let at = eightPlaces((own / size.y * 2u * params.largeSize.y + own % size.y * 2u) * width);
  let volume = params.largeSize.x * params.largeSize.y * width;
  let last = params.smallChannels - 1u;
  let mine0 = min(o, last) * params.largeChannels * 8u;
  let mine1 = min(o + LANES, last) * params.largeChannels * 8u;
  var sum0: array<vec4f, R>;                             // sums of channel o: four voxels of each row
  var sum1: array<vec4f, R>;                             // and of channel o + 8
  for (var c = 0u; c < params.largeChannels; c++) {
    for (var kz = 0u; kz < 2u; kz++) {
      let upper = (n * params.largeChannels + c) * volume + kz * params.largeSize.y * width + column;
      let lower = upper + width;
      let tap = c * 8u + kz * 4u;
      let w0 = vec4f(weight[mine0 + tap], weight[mine0 + tap + 1u], weight[mine0 + tap + 2u], weight[mine0 + tap + 3u]);
      let w1 = vec4f(weight[mine1 + tap], weight[mine1 + tap + 1u], weight[mine1 + tap + 2u], weight[mine1 + tap + 3u]);
      for (var r = 0u; r < R; r++) {
        let a = eight(f32(large[upper + at[r]]));
        let b = eight(f32(large[lower + at[r]]));
        sum0[r] += products(w0, a, b);
        sum1[r] += products(w1, a, b);
      }
    }
  }

  let corner = row * size.z + qx;
  for (var r = 0u; r < R; r++) {
    for (var j = 0u; j < 4u; j++) {
      if (row + r < rows && qx + j < size.z) {
        let place = corner + r * size.z + j;
        if (o <= last) { y[(n * params.smallChannels + o) * rows * size.z + place] = real(biasOf(o) + sum0[r][j]); }
        if (o + LANES <= last) {
          y[(n * params.smallChannels + o + LANES) * rows * size.z + place] = real(biasOf(o + LANES) + sum1[r][j]);
        }
      }
    }
  }
}

// The products of four taps, [ky,kx], for four voxels, from eight voxels of two rows.
fn products(w: vec4f, a: array<f32, 8>, b: array<f32, 8>) -> vec4f {
  var sum = w.x * vec4f(a[0], a[2], a[4], a[6]);
  sum = fma(vec4f(w.y), vec4f(a[1], a[3], a[5], a[7]), sum);
  sum = fma(vec4f(w.z), vec4f(b[0], b[2], b[4], b[6]), sum);
  return fma(vec4f(w.w), vec4f(b[1], b[3], b[5], b[7]), sum);
}

@compute @workgroup_size(8)
fn scatter(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = params.smallSize;
  let rows = size.x * size.y;
  let blocks = (params.largeChannels + LANES - 1u) / LANES;
  let across = (size.z + 7u) / 8u;

  let i = params.first / LANES + group.x + group.y * groups.x;
  let c = i % blocks * LANES + lane;
  let tile = i / blocks % (rows * across);
  let n = i / blocks / (rows * across);
  if (n >= params.batch) { return; }
  let qx = tile % across * 8u;
  let row = tile / across;

  let mine = min(c, params.largeChannels - 1u) * 8u;
  let voxel = n * params.smallChannels * rows * size.z + row * size.z + min(qx + lane, size.z - 1u);
  var left: array<vec4f, 8>;                             // sums by tap of the first four voxels
  var right: array<vec4f, 8>;                            // and of the other four
  for (var o = 0u; o < params.smallChannels; o += 4u) {
    let last = params.smallChannels - 1u;
    let x0 = halves(eight(f32(small[voxel + o * rows * size.z])));
    let x1 = halves(eight(select(0.0, f32(small[voxel + min(o + 1u, last) * rows * size.z]), o + 1u <= last)));
    let x2 = halves(eight(select(0.0, f32(small[voxel + min(o + 2u, last) * rows * size.z]), o + 2u <= last)));
    let x3 = halves(eight(select(0.0, f32(small[voxel + min(o + 3u, last) * rows * size.z]), o + 3u <= last)));
    let step = params.largeChannels * 8u;
    let at0 = mine + o * step;
    let at1 = mine + min(o + 1u, last) * step;
    let at2 = mine + min(o + 2u, last) * step;
    let at3 = mine + min(o + 3u, last) * step;
    for (var k = 0u; k < 8u; k++) {
      let w = vec4f(weight[at0 + k], weight[at1 + k], weight[at2 + k], weight[at3 + k]);
      left[k] += four(w, x0.left, x1.left, x2.left, x3.left);
      right[k] += four(w, x0.right, x1.right, x2.right, x3.right);
    }
  }

  if (c >= params.largeChannels) { return; }
  let start = biasOf(c);
  let width = params.largeSize.z;
  let corner = (n * params.largeChannels + c) * params.largeSize.x * params.largeSize.y * width
    + (row / size.y * 2u * params.largeSize.y + row % size.y * 2u) * width + 2u * qx;
  for (var k = 0u; k < 8u; k++) {
    let place = corner + (k / 4u * params.largeSize.y + k / 2u % 2u) * width + k % 2u;
    for (var j = 0u; j < 4u; j++) {
      if (qx + j < size.z) { y[place + 2u * j] = real(start + left[k][j]); }
      if (qx + j + 4u < size.z) { y[place + 2u * j + 8u] = real(start + right[k][j]); }
    }
  }
}

fn biasOf(channel: u32) -> f32 { return select(0.0, bias[channel], params.biased == 1u); }

struct Pair { left: vec4f, right: vec4f }

fn halves(v: array<f32, 8>) -> Pair { return Pair(vec4f(v[0], v[1], v[2], v[3]), vec4f(v[4], v[5], v[6], v[7])); }

// The products of four channels for four voxels.
fn four(w: vec4f, a: vec4f, b: vec4f, c: vec4f, d: vec4f) -> vec4f {
  return fma(vec4f(w.w), d, fma(vec4f(w.z), c, fma(vec4f(w.y), b, w.x * a)));
}

@compute @workgroup_size(8)
fn pair(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = params.smallSize;
  let blocks = (params.smallChannels + 2u * LANES - 1u) / (2u * LANES);
  let slices = (params.largeChannels + TC - 1u) / TC;

  var i = params.first / LANES + group.x + group.y * groups.x;
  let c = i % slices * TC;                 i /= slices;
  let o = i % blocks * 2u * LANES + lane;  i /= blocks;
  let split = i;
  if (split >= params.splits) { return; }

  let rows = size.x * size.y;
  let all = params.batch * rows;
  let width = params.largeSize.z;
  let volume = params.largeSize.x * params.largeSize.y * width;
  let last = params.smallChannels - 1u;
  var sum0 = Taps();                                     // sums of large channel c
  var sum1 = Taps();                                     // and of c + 1 …
  var sum2 = Taps();
  var sum3 = Taps();
  for (var line = all * split / params.splits; line < all * (split + 1u) / params.splits; line++) {
    let row = line % rows;
    let n = line / rows;
    let place = (n * params.smallChannels + min(o, last)) * rows * size.z + row * size.z;
    let other = (n * params.smallChannels + min(o + LANES, last)) * rows * size.z + row * size.z;
    let corner = n * params.largeChannels * volume + (row / size.y * 2u * params.largeSize.y + row % size.y * 2u) * width;
    for (var qx = 0u; qx < size.z; qx += 4u) {
      let g = strip(place, qx);
      let h = strip(other, qx);
      let start = corner + min(2u * qx + lane, 2u * size.z - 1u);
      sum0 = plus(sum0, tapsOf(g, h, start + c * volume));
      sum1 = plus(sum1, tapsOf(g, h, start + min(c + 1u, params.largeChannels - 1u) * volume));
      sum2 = plus(sum2, tapsOf(g, h, start + min(c + 2u, params.largeChannels - 1u) * volume));
      sum3 = plus(sum3, tapsOf(g, h, start + min(c + 3u, params.largeChannels - 1u) * volume));
    }
  }

  let sums = array<Taps, TC>(sum0, sum1, sum2, sum3);
  for (var t = 0u; t < TC; t++) {
    if (c + t < params.largeChannels) {
      let at = ((split * params.smallChannels + o) * params.largeChannels + c + t) * 8u;
      let far = at + LANES * params.largeChannels * 8u;
      for (var k = 0u; k < 4u; k++) {
        if (o <= last) {
          partial[at + k] = sums[t].a[k];
          partial[at + 4u + k] = sums[t].b[k];
        }
        if (o + LANES <= last) {
          partial[far + k] = sums[t].c[k];
          partial[far + 4u + k] = sums[t].d[k];
        }
      }
    }
  }
}

// The taps of both kz for channel o, and for o + 8.
struct Taps { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

fn plus(s: Taps, t: Taps) -> Taps { return Taps(s.a + t.a, s.b + t.b, s.c + t.c, s.d + t.d); }

// Four voxels of a row of the small grid; zero beyond it.
fn strip(row: u32, qx: u32) -> vec4f {
  let last = params.smallSize.z - 1u;
  let v = vec4f(
    f32(small[row + min(qx, last)]), f32(small[row + min(qx + 1u, last)]),
    f32(small[row + min(qx + 2u, last)]), f32(small[row + min(qx + 3u, last)]),
  );
  return select(vec4f(), v, vec4u(qx) + vec4u(0u, 1u, 2u, 3u) <= vec4u(last));
}

// The products of strips of channels o and o + 8 for the taps of a large channel whose voxels begin at `at`.
fn tapsOf(g: vec4f, h: vec4f, at: u32) -> Taps {
  let width = params.largeSize.z;
  let next = at + params.largeSize.y * width;
  let a = eight(f32(large[at]));
  let b = eight(f32(large[at + width]));
  let d = eight(f32(large[next]));
  let e = eight(f32(large[next + width]));
  return Taps(plane(g, a, b), plane(g, d, e), plane(h, a, b), plane(h, d, e));
}

// Σ_p g[p] · the four voxels of two rows that the taps [ky,kx] meet at p.
fn plane(g: vec4f, a: array<f32, 8>, b: array<f32, 8>) -> vec4f {
  var sum = g.x * vec4f(a[0], a[1], b[0], b[1]);
  sum = fma(vec4f(g.y), vec4f(a[2], a[3], b[2], b[3]), sum);
  sum = fma(vec4f(g.z), vec4f(a[4], a[5], b[4], b[5]), sum);
  return fma(vec4f(g.w), vec4f(a[6], a[7], b[6], b[7]), sum);
}

// The values of all eight lanes.
fn eight(own: f32) -> array<f32, 8> {
  return array<f32, 8>(
    subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u), subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u),
    subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u), subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u),
  );
}

fn eightPlaces(own: u32) -> array<u32, 8> {
  return array<u32, 8>(
    subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u), subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u),
    subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u), subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u),
  );
}
