// The forward pass of 3³ at stride 1 out of workgroup memory, for GPUs.
//   y [n,o,p] = bias[o] + Σ_{c,k} weight[o,c,k] · x[n,c, p + k - 1]
//
// A workgroup computes TZ·TY·TX voxels of BO output channels. It holds one input channel at a time: the
// voxels of its tile with those around them, and BO·27 weights. An invocation computes 8 channels of two rows
// of 4 voxels: 64 sums, few enough for GPUs of 128 registers. For a plane of taps it reads 8 vec4 of voxels
// and 18 of weights, and multiplies 576 times. The loads of the next channel are under way meanwhile.
//
// Where a volume has too few tiles to fill a GPU, `splits` workgroups share the input channels of a tile.
// Their sums go to `shares` [splits,N,O,V], and sumShares adds these in order.

alias real = f32;

override TX: u32 = 32u;     // voxels of a tile along W, a multiple of 4
override TY: u32 = 8u;      // along H, a multiple of 2
override TZ: u32 = 4u;      // along D
override BO: u32 = 16u;     // output channels of a tile, a multiple of 8
override PITCH: u32 = 9u;   // vec4 from one row of the tile to the next, so that neighbours meet other banks
override NT: u32 = 256u;    // invocations: BO/8 · TZ · TY/2 · TX/4
override WG: u32 = 64u;     // of sumShares
override moments: bool = false; // whether to compute those of y; not with shares

const MOST_X = 14u;         // voxels that an invocation loads for a channel, at most
const MOST_W = 28u;         // and weights
const PAD = 4u;             // channels between the weights of two taps, against conflicts of banks
const NOWHERE = 0xffffffffu;

struct Params {
  size: vec3u,              // D, H, W
  inputs: u32,              // C
  outputs: u32,             // O
  batch: u32,               // N
  biased: u32,              // 1 if there is a bias
  outputStride: u32,        // elements of weight from one output channel to the next
  inputStride: u32,         // and from one input channel to the next
  reversed: u32,            // 1 if its taps are in reverse
  splits: u32,              // shares of the input channels
  first: u32,               // first invocation
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<real>;
@group(0) @binding(4) var<storage, read_write> shares: array<f32>;
@group(0) @binding(5) var<storage, read_write> momentsOfTiles: array<vec4f>; // [N,O,tiles]
@group(0) @binding(6) var<uniform> params: Params;

override VOXELS = TZ * (TY / 2u) * (TX / 4u); // invocations of one channel, a power of two

var<workgroup> voxels: array<vec4f, (TZ + 2u) * (TY + 2u) * PITCH>;
var<workgroup> taps: array<vec4f, 27u * (BO + PAD) / 4u>;

/* The sums of four channels: of the four voxels of the upper row, and of the lower one. */
struct Sums {
  a0: vec4f, a1: vec4f, a2: vec4f, a3: vec4f,
  b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f,
}

@compute @workgroup_size(NT)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = params.size;
  let across = (size.z + TX - 1u) / TX;                  // tiles along W
  let down = (size.y + TY - 1u) / TY;                    // tiles along H
  let deep = (size.x + TZ - 1u) / TZ;                    // tiles along D
  let blocks = (params.outputs + BO - 1u) / BO;

  var i = params.first / NT + group.x + group.y * groups.x;
  let firstOutput = i % blocks * BO;    i /= blocks;
  let tx = i % across * TX;             i /= across;     // the tile's first voxel
  let ty = i % down * TY;               i /= down;
  let tz = i % deep * TZ;               i /= deep;
  let split = i % params.splits;        i /= params.splits;
  let n = i;
  if (n >= params.batch) { return; }                     // all invocations alike

  let volume = size.x * size.y * size.z;
  let held = (TZ + 2u) * (TY + 2u) * (TX + 2u);          // voxels of the tile with those around them
  var sources: array<u32, MOST_X>;                       // where this invocation loads from, in a channel
  var goals: array<u32, MOST_X>;                         // and where it puts that in the tile
  for (var j = 0u; j < MOST_X; j++) {
    let e = lane + j * NT;
    let column = e % (TX + 2u);
    let row = e / (TX + 2u);
    let px = tx + column - 1u;                           // below zero it wraps and fails the bounds check
    let py = ty + row % (TY + 2u) - 1u;
    let pz = tz + row / (TY + 2u) - 1u;
    let inside = e < held && px < size.z && py < size.y && pz < size.x;
    sources[j] = select(NOWHERE, (pz * size.y + py) * size.z + px, inside);
    goals[j] = row * PITCH * 4u + column;
  }
  var weights: array<u32, MOST_W>;                       // the same for weights
  for (var j = 0u; j < MOST_W; j++) {
    let e = lane + j * NT;
    let o = min(firstOutput + e / 27u, params.outputs - 1u);
    weights[j] = o * params.outputStride + select(e % 27u, 26u - e % 27u, params.reversed == 1u);
  }

  let lx = lane % (TX / 4u);                             // what this invocation computes: four voxels along W
  let ly = lane / (TX / 4u) % (TY / 2u);                 // of a pair of rows
  let lz = lane / (TX / 4u) / (TY / 2u) % TZ;            // of a plane
  let lo = lane / (TX / 4u) / (TY / 2u) / TZ;            // for eight channels
  let corner = (lz * (TY + 2u) + 2u * ly) * PITCH + lx;
  var low = Sums();                                      // of the first four channels
  var high = Sums();

  let begin = params.inputs * split / params.splits;
  let end = params.inputs * (split + 1u) / params.splits;
  var xs: array<f32, MOST_X>;
  var ws: array<f32, MOST_W>;
  for (var c = begin; c <= end; c++) {                   // loads channel c, and computes channel c - 1
    if (c < end) {
      let channel = (n * params.inputs + c) * volume;
      for (var j = 0u; j < MOST_X; j++) {
        let inside = sources[j] != NOWHERE;
        if (j * NT < held) { xs[j] = select(0.0, f32(x[channel + select(0u, sources[j], inside)]), inside); }
      }
      for (var j = 0u; j < MOST_W; j++) {
        if (j * NT < 27u * BO) { ws[j] = weight[weights[j] + c * params.inputStride]; }
      }
    }
    if (c > begin) {
      for (var kz = 0u; kz < 3u; kz++) {
        let at = corner + kz * (TY + 2u) * PITCH;
        let r0 = rowOf(at);
        let r1 = rowOf(at + PITCH);
        let r2 = rowOf(at + 2u * PITCH);
        let r3 = rowOf(at + 3u * PITCH);
        let w = kz * 9u * (BO + PAD) / 4u + lo * 2u;
        low = plane(low, w, r0, r1, r2, r3);
        high = plane(high, w + 1u, r0, r1, r2, r3);
      }
    }
    workgroupBarrier();                                  // all have read the channel before
    if (c < end) {
      for (var j = 0u; j < MOST_X; j++) {
        if (lane + j * NT < held) { voxels[goals[j] / 4u][goals[j] % 4u] = xs[j]; }
      }
      for (var j = 0u; j < MOST_W; j++) {
        let e = lane + j * NT;
        let goal = e % 27u * (BO + PAD) + e / 27u;
        if (e < 27u * BO) { taps[goal / 4u][goal % 4u] = ws[j]; }
      }
    }
    workgroupBarrier();
  }

  let qx = tx + 4u * lx;
  let qy = ty + 2u * ly;
  let qz = tz + lz;
  let o = firstOutput + 8u * lo;
  if (moments) {
    let tile = (tz / TZ * down + ty / TY) * across + tx / TX;
    let place = (n * params.outputs + o) * across * down * deep + tile;
    for (var k = 0u; k < 8u; k++) {
      let of4 = Sums(
        select(low.a0, high.a0, k > 3u), select(low.a1, high.a1, k > 3u),
        select(low.a2, high.a2, k > 3u), select(low.a3, high.a3, k > 3u),
        select(low.b0, high.b0, k > 3u), select(low.b1, high.b1, k > 3u),
        select(low.b2, high.b2, k > 3u), select(low.b3, high.b3, k > 3u),
      );
      let start = biasOf(min(o + k, params.outputs - 1u));
      let found = momentsOf(lane, upperOf(of4, k % 4u) + start, lowerOf(of4, k % 4u) + start, vec3u(qz, qy, qx));
      if (lane % VOXELS == 0u && o + k < params.outputs) {
        momentsOfTiles[place + k * across * down * deep] = found;
      }
    }
  }
  if (qz >= size.x || qy >= size.y || qx >= size.z) { return; }
  let sample = select(0u, split * params.batch, params.splits > 1u) + n;
  let place = (sample * params.outputs + o) * volume + (qz * size.y + qy) * size.z + qx;
  put(low, o, place, qx, qy);
  put(high, o + 4u, place + 4u * volume, qx, qy);
}

/* Writes four channels from o on, whose first voxel is at `place`. */
fn put(sums: Sums, o: u32, place: u32, qx: u32, qy: u32) {
  let size = params.size;
  for (var k = 0u; k < 4u; k++) {
    if (o + k < params.outputs) {
      let upper = upperOf(sums, k);
      let lower = lowerOf(sums, k);
      let at = place + k * size.x * size.y * size.z;
      for (var v = 0u; v < 4u; v++) {
        if (qx + v < size.z) {
          putAt(at + v, upper[v], o + k);
          if (qy + 1u < size.y) { putAt(at + size.z + v, lower[v], o + k); }
        }
      }
    }
  }
}

/* Channel k's sums of the upper row, and of the lower one. */
fn upperOf(sums: Sums, k: u32) -> vec4f { return vec4f(sums.a0[k], sums.a1[k], sums.a2[k], sums.a3[k]); }
fn lowerOf(sums: Sums, k: u32) -> vec4f { return vec4f(sums.b0[k], sums.b1[k], sums.b2[k], sums.b3[k]); }

/*
 * Count, shift, mean and squares of a channel's voxels in the tile (see instanceNorm.wgsl), for the first of
 * the channel's invocations. Each has two rows of four voxels, the first at q; `voxels` holds the moments.
 */
fn momentsOf(lane: u32, upper: vec4f, lower: vec4f, q: vec3u) -> vec4f {
  let first = lane / VOXELS * VOXELS;
  workgroupBarrier();
  if (lane == first) { voxels[lane].x = upper.x; }       // the tile's first voxel
  workgroupBarrier();
  let shift = voxels[first].x;
  let column = vec4f(vec4u(q.z, q.z + 1u, q.z + 2u, q.z + 3u) < vec4u(params.size.z));
  let upperHeld = select(vec4f(), column, q.x < params.size.x && q.y < params.size.y);
  let lowerHeld = select(vec4f(), column, q.x < params.size.x && q.y + 1u < params.size.y);
  let count = dot(upperHeld + lowerHeld, vec4f(1.0));
  let mean = (dot(upperHeld, upper - shift) + dot(lowerHeld, lower - shift)) / max(count, 1.0);
  let upperRest = upperHeld * (upper - shift - mean);
  let lowerRest = lowerHeld * (lower - shift - mean);
  workgroupBarrier();
  voxels[lane] = vec4f(count, shift, mean, dot(upperRest, upperRest) + dot(lowerRest, lowerRest));
  for (var half = VOXELS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane - first < half) { voxels[lane] = merged(voxels[lane], voxels[lane + half]); }
  }
  return voxels[first];
}

/* The moments of two sets of values with the same shift (Chan, Golub and LeVeque 1983). */
fn merged(a: vec4f, b: vec4f) -> vec4f {
  let count = a.x + b.x;
  let part = b.x / max(count, 1.0);
  let difference = b.z - a.z;
  return vec4f(count, a.y, a.z + difference * part, a.w + b.w + difference * difference * a.x * part);
}

fn putAt(at: u32, sum: f32, o: u32) {
  if (params.splits > 1u) { shares[at] = sum; } else { y[at] = real(biasOf(o) + sum); }
}

fn biasOf(o: u32) -> f32 { return select(0.0, bias[o], params.biased == 1u); }

/* Six voxels of a row. */
struct Row { a: vec4f, b: vec2f }

fn rowOf(at: u32) -> Row { return Row(voxels[at], voxels[at + 1u].xy); }

/* The sums with the products of a plane of taps, whose weights begin at w: four rows meet two. */
fn plane(sums: Sums, w: u32, r0: Row, r1: Row, r2: Row, r3: Row) -> Sums {
  let step = 3u * (BO + PAD) / 4u;
  return row(row(row(sums, w, r0, r1), w + step, r1, r2), w + 2u * step, r2, r3);
}

/* The sums with the products of a row of taps. */
fn row(sums: Sums, w: u32, upper: Row, lower: Row) -> Sums {
  let step = (BO + PAD) / 4u;
  let w0 = taps[w];
  let w1 = taps[w + step];
  let w2 = taps[w + 2u * step];
  return Sums(
    three(sums.a0, w0, w1, w2, upper.a.xyz),
    three(sums.a1, w0, w1, w2, upper.a.yzw),
    three(sums.a2, w0, w1, w2, vec3f(upper.a.zw, upper.b.x)),
    three(sums.a3, w0, w1, w2, vec3f(upper.a.w, upper.b)),
    three(sums.b0, w0, w1, w2, lower.a.xyz),
    three(sums.b1, w0, w1, w2, lower.a.yzw),
    three(sums.b2, w0, w1, w2, vec3f(lower.a.zw, lower.b.x)),
    three(sums.b3, w0, w1, w2, vec3f(lower.a.w, lower.b)),
  );
}

fn three(sum: vec4f, w0: vec4f, w1: vec4f, w2: vec4f, v: vec3f) -> vec4f {
  return fma(w2, vec4f(v.z), fma(w1, vec4f(v.y), fma(w0, vec4f(v.x), sum)));
}

/* y = bias + the shares in order. */
@compute @workgroup_size(WG)
fn sumShares(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = params.first + id.x + id.y * groups.x * WG;
  let n = params.batch * params.outputs * params.size.x * params.size.y * params.size.z;
  if (i >= n) { return; }
  var sum = biasOf(i / (params.size.x * params.size.y * params.size.z) % params.outputs);
  for (var split = 0u; split < params.splits; split++) { sum += shares[split * n + i]; }
  y[i] = real(sum);
}
