// Instance norm, and batch norm, which is the same with statistics shared by B samples.   x [N,C,V]
// A ReLU and a skip may be part of the pass.
// A group g shares statistics: one channel's V voxels in each of B samples, M = B·V values.
//   x̂ = (x - mean[g]) · rstd[g]      rstd = 1/√(variance + eps), variance = Σ (x - mean)² / M
//   z = weight[c] · x̂ + bias[c]      y = z, or max(z, 0) + skip
//   dz = dy where y is z or z > 0, else 0
//   dx = weight[c] · rstd · (dz - Σ_g dz / M - x̂ · Σ_g (dz·x̂) / M)
//   dweight[c] = Σ_{n,v} dz · x̂      dbias[c] = Σ_{n,v} dz      dskip = dy
//
// A workgroup (chunk, c, n) takes one chunk of a row of V voxels; merge… take a workgroup for each group or
// channel. Eight neighbouring invocations share a run, and each takes every eighth value, several in a turn:
// so drivers of eight lanes and caches read memory in order, and others whole sectors of 32 bytes. The
// moments of a chunk are those of x - shift, where shift is the chunk's first value, so that no digits are
// lost where mean >> std. Two sets of moments merge as in Chan, Golub and LeVeque (1983). A convolution may
// give the moments of its output itself: its chunks may have any size and shift, and be empty.
//
// Where V is a multiple of 4, `x`, `y`, … are read and written by fours (`WIDE`): a load of four values takes
// hardly longer than one of a single value.

alias real = f32;
alias stored = real;
alias wide = f32;
alias word = u32;

override WIDE: bool = false;            // true for the twin whose stored, wide and word are vectors of four
override WG: u32 = 64;                  // a multiple of FEW
override eps: f32;
override constant: bool = false;        // whether the statistics do not depend on x
override activated: bool = false;       // whether there is a ReLU
override added: bool = false;           // whether there is a skip

const FEW = 8u;                         // invocations that merge a workgroup's results before one does
const TURN = 4u;                        // values that an invocation takes in a turn
const BLOCK = 8u;                       // values whose mean is taken at once

struct Params {
  channels: u32,                        // C
  voxels: u32,                          // V
  chunk: u32,                           // voxels of a chunk
  together: u32,                        // B
}
/* count values x with the given mean of x - shift, and squares = Σ (x - shift - mean)². */
struct Moments { count: f32, shift: f32, mean: f32, squares: f32 }
struct Statistics { shift: f32, mean: f32, variance: f32, rstd: f32 } // shift and mean as in Moments

@group(0) @binding(0) var<storage, read> x: array<stored>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> moments: array<Moments>;       // [N,C,chunks]
@group(0) @binding(4) var<storage, read_write> statistics: array<Statistics>; // [N/B,C]
@group(0) @binding(5) var<storage, read> skip: array<stored>;
@group(0) @binding(6) var<storage, read_write> y: array<stored>;
@group(0) @binding(7) var<storage, read> dy: array<stored>;
@group(0) @binding(8) var<storage, read_write> partial: array<vec2f>;         // [N,C,chunks]: (Σ dz, Σ dz·x̂)
@group(0) @binding(9) var<storage, read_write> sums: array<vec2f>;            // [N/B,C]: the same
@group(0) @binding(10) var<storage, read_write> dx: array<stored>;
@group(0) @binding(11) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(12) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(13) var<uniform> params: Params;

/* The part of x that an invocation takes: from `first` every eighth value before `end`. */
struct Run { first: u32, end: u32 }

fn runOf(group: vec3u, lane: u32) -> Run {
  let start = group.x * params.chunk;
  let size = min(params.chunk, params.voxels - start) / each();
  let length = (size + WG - 1) / WG * 8;
  let begin = lane / 8 * length;
  let row = (rowOf(group) * params.voxels + start) / each();
  return Run(row + begin + lane % 8, row + min(begin + length, size));
}

fn rowOf(group: vec3u) -> u32 { return group.z * params.channels + group.y; }

fn chunkOf(group: vec3u) -> u32 { return rowOf(group) * chunks() + group.x; }
fn chunks() -> u32 { return (params.voxels + params.chunk - 1) / params.chunk; }

/* The values of a load. */
fn each() -> u32 { return select(1u, 4u, WIDE); }

/* z = scale · (x - shift - mean) + offset. */
struct Affine { shift: f32, mean: f32, rstd: f32, scale: f32, offset: f32 }

fn affineOf(group: vec3u) -> Affine {
  let s = statistics[groupOf(group)];
  return Affine(s.shift, s.mean, s.rstd, weight[group.y] * s.rstd, bias[group.y]);
}

fn groupOf(group: vec3u) -> u32 { return group.z / params.together * params.channels + group.y; }

/* x - mean, exact where the two are nearly equal. */
fn centred(value: stored, affine: Affine) -> wide { return wide(value) - affine.shift - affine.mean; }

/* The ReLU of z. NaN stays NaN: see activations.wgsl. */
fn rectified(z: wide) -> wide {
  let bits = bitcast<word>(z);
  return select(z, wide(), (bits >= word(0x80000000u)) & (bits <= word(0xff800000u)));
}

/* The sum of a load's values. */
fn across(values: wide) -> f32 {
  let all = vec4f(values);
  return select(all.x, (all.x + all.y) + (all.z + all.w), WIDE);
}

fn merged(a: Moments, b: Moments) -> Moments {
  if (b.count == 0.0) { return a; }
  if (a.count == 0.0) { return b; }
  let count = a.count + b.count;
  let difference = (b.shift - a.shift) + (b.mean - a.mean);
  let share = b.count / count;
  let between = difference * difference * a.count * share;
  return Moments(count, a.shift, a.mean + difference * share, a.squares + b.squares + between);
}

var<workgroup> parts: array<Moments, WG>;

/* The moments of a workgroup's values, for its first invocation. */
fn gathered(lane: u32, own: Moments) -> Moments {
  var all = own;
  parts[lane] = all;
  workgroupBarrier();
  if (lane < FEW) {
    for (var i = lane + FEW; i < WG; i += FEW) { all = merged(all, parts[i]); }
    parts[lane] = all;
  }
  workgroupBarrier();
  if (lane != 0) { return all; }
  for (var i = 1u; i < FEW; i++) { all = merged(all, parts[i]); }
  return all;
}

fn statisticsFrom(all: Moments, least: f32) -> Statistics {
  let variance = all.squares / all.count;
  return Statistics(all.shift, all.mean, variance, 1 / sqrt(variance + least));
}

/* The moments of a chunk, for a workgroup's first invocation. */
fn momentsOf(group: vec3u, lane: u32) -> Moments {
  let run = runOf(group, lane);
  let shift = vec4f(wide(x[(rowOf(group) * params.voxels + group.x * params.chunk) / each()])).x;
  var own = Moments(0, shift, 0, 0);
  var i = run.first;
  for (; i + 8 * (BLOCK - 1) < run.end; i += 8 * BLOCK) { own = merged(own, momentsOfBlock(i, shift)); }
  for (; i < run.end; i += 8) { own = merged(own, momentsOfOne(i, shift)); }
  return gathered(lane, own);
}

@compute @workgroup_size(WG)
fn partialMoments(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let all = momentsOf(group, lane);
  if (lane == 0) { moments[chunkOf(group)] = all; }
}

fn momentsOfBlock(first: u32, shift: f32) -> Moments {
  var values: array<wide, BLOCK>;
  var sum = wide();
  for (var k = 0u; k < BLOCK; k++) {
    values[k] = wide(x[first + 8 * k]) - shift;
    sum += values[k];
  }
  let count = f32(BLOCK * each());
  let mean = across(sum) / count;
  var squares = wide();
  for (var k = 0u; k < BLOCK; k++) { squares = fma(values[k] - mean, values[k] - mean, squares); }
  return Moments(count, shift, mean, across(squares));
}

fn momentsOfOne(i: u32, shift: f32) -> Moments {
  let value = wide(x[i]) - shift;
  let mean = across(value) / f32(each());
  return Moments(f32(each()), shift, mean, across((value - mean) * (value - mean)));
}

/* The statistics of a row that is one chunk. */
@compute @workgroup_size(WG)
fn rowStatistics(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let all = momentsOf(group, lane);
  if (lane == 0) { statistics[rowOf(group)] = statisticsFrom(all, eps); }
}

@compute @workgroup_size(WG)
fn mergeMoments(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let g = group.y * params.channels + group.x;
  let chunks = arrayLength(&moments) / (arrayLength(&statistics) * params.together);
  var own = Moments(0, 0, 0, 0);
  for (var i = lane; i < params.together * chunks; i += WG) {
    let row = (group.y * params.together + i / chunks) * params.channels + group.x;
    own = merged(own, moments[row * chunks + i % chunks]);
  }
  let all = gathered(lane, own);
  if (lane == 0) { statistics[g] = statisticsFrom(all, eps); }
}

@compute @workgroup_size(WG)
fn forward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let run = runOf(group, lane);
  let affine = affineOf(group);
  var i = run.first;
  for (; i + 8 * (TURN - 1) < run.end; i += 8 * TURN) {
    for (var k = 0u; k < TURN; k++) { forwardAt(i + 8 * k, affine); }
  }
  for (; i < run.end; i += 8) { forwardAt(i, affine); }
}

fn forwardAt(i: u32, affine: Affine) {
  var value = fma(centred(x[i], affine), wide(affine.scale), wide(affine.offset));
  if (activated) { value = rectified(value); }
  if (added) { value += wide(skip[i]); }
  y[i] = stored(value);
}

var<workgroup> tree: array<vec2f, WG>;

/* The sum over a workgroup, for its first invocation. */
fn total(lane: u32, own: vec2f) -> vec2f {
  var sum = own;
  workgroupBarrier();                   // an earlier sum has been read
  tree[lane] = sum;
  workgroupBarrier();
  if (lane < FEW) {
    for (var i = lane + FEW; i < WG; i += FEW) { sum += tree[i]; }
    tree[lane] = sum;
  }
  workgroupBarrier();
  if (lane != 0) { return sum; }
  for (var i = 1u; i < FEW; i++) { sum += tree[i]; }
  return sum;
}

/* x - mean, and dz as `forward` computes z. */
struct Pair { difference: wide, dz: wide }

fn pairAt(i: u32, affine: Affine) -> Pair {
  let difference = centred(x[i], affine);
  let slope = wide(dy[i]);
  if (!activated) { return Pair(difference, slope); }
  let z = fma(difference, wide(affine.scale), wide(affine.offset));
  return Pair(difference, select(wide(), slope, z > wide()));
}

@compute @workgroup_size(WG)
fn partialSums(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let run = runOf(group, lane);
  let affine = affineOf(group);
  var own = vec2f(0);
  var i = run.first;
  for (; i + 8 * (TURN - 1) < run.end; i += 8 * TURN) {
    for (var k = 0u; k < TURN; k++) { own += termsAt(i + 8 * k, affine); }
  }
  for (; i < run.end; i += 8) { own += termsAt(i, affine); }
  let sum = total(lane, own);
  if (lane == 0) { partial[chunkOf(group)] = vec2f(sum.x, sum.y * affine.rstd); }
}

fn termsAt(i: u32, affine: Affine) -> vec2f {
  let pair = pairAt(i, affine);
  return vec2f(across(pair.dz), across(pair.dz * pair.difference));
}

/* For a channel c: the sums of each of its groups, and their total. */
@compute @workgroup_size(WG)
fn mergeSums(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let c = group.x;
  let last = arrayLength(&sums) / params.channels;
  var all = vec2f(0);
  for (var b = 0u; b < last; b++) {
    var own = vec2f(0);
    for (var i = lane; i < params.together * chunks(); i += WG) {
      let row = (b * params.together + i / chunks()) * params.channels + c;
      own += partial[row * chunks() + i % chunks()];
    }
    let sum = total(lane, own);
    if (lane == 0) { sums[b * params.channels + c] = sum; }
    all += sum;
  }
  if (lane != 0) { return; }
  dweight[c] = all.y;
  dbias[c] = all.x;
}

@compute @workgroup_size(WG)
fn backwardInput(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let run = runOf(group, lane);
  let affine = affineOf(group);
  let all = sums[groupOf(group)];
  let mean = select(all / (f32(params.voxels) * f32(params.together)), vec2f(0), constant);
  let slope = mean.y * affine.rstd;
  var i = run.first;
  for (; i + 8 * (TURN - 1) < run.end; i += 8 * TURN) {
    for (var k = 0u; k < TURN; k++) { backwardAt(i + 8 * k, affine, mean.x, slope); }
  }
  for (; i < run.end; i += 8) { backwardAt(i, affine, mean.x, slope); }
}

fn backwardAt(i: u32, affine: Affine, mean: f32, slope: f32) {
  let pair = pairAt(i, affine);
  dx[i] = stored(affine.scale * (pair.dz - mean - pair.difference * slope));
}
