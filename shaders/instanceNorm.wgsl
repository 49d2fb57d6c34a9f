// Instance norm, and batch norm, which is the same where B samples share statistics; with a ReLU and a skip, if
// wanted, in the same pass.   x [N,C,V]
// A group g is what shares statistics: one channel's V voxels in each of B samples, M = B·V values.
//   x̂ = (x - mean[g]) · rstd[g]      rstd = 1/√(variance + eps), variance = Σ (x - mean)² / M
//   z = weight[c] · x̂ + bias[c]      y = z, or max(z, 0) + skip
//   dz = dy where y is z or z > 0, else 0
//   dx = weight[c] · rstd · (dz - Σ_g dz / M - x̂ · Σ_g (dz·x̂) / M)
//   dweight[c] = Σ_{n,v} dz · x̂      dbias[c] = Σ_{n,v} dz      dskip = dy
//
// A workgroup (chunk, c, n) does one chunk of a row of V voxels, its threads side by side; merge… have a workgroup
// for each group or channel. So that no digits are lost where mean >> std, every chunk's moments are of x - shift,
// where shift is its first value, and two sets of moments merge as Chan, Golub and LeVeque (1983) have it. A
// convolution may give its output's moments itself: chunks of any size, of other shifts, or empty.

alias real = f32;

override WG: u32 = 64;                  // a multiple of FEW
override eps: f32;
override constant: bool = false;        // whether the statistics do not depend on x
override activated: bool = false;       // whether there is a ReLU
override added: bool = false;           // whether there is a skip

const FEW = 8u;                         // threads that merge a workgroup's results before one does

struct Params {
  channels: u32,                        // C
  voxels: u32,                          // V
  chunk: u32,                           // voxels of a chunk
  together: u32,                        // B
}
struct Moments {
  count: f32,                           // of values
  shift: f32,
  mean: f32,                            // of x - shift
  squares: f32,                         // Σ (x - shift - mean)²
}
struct Statistics {
  shift: f32,
  mean: f32,                            // of x - shift
  variance: f32,
  rstd: f32,
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> moments: array<Moments>;       // [N,C,chunks]
@group(0) @binding(4) var<storage, read_write> statistics: array<Statistics>; // [N/B,C]
@group(0) @binding(5) var<storage, read> skip: array<real>;
@group(0) @binding(6) var<storage, read_write> y: array<real>;
@group(0) @binding(7) var<storage, read> dy: array<real>;
@group(0) @binding(8) var<storage, read_write> partial: array<vec2f>;         // [N,C,chunks]: (Σ dz, Σ dz·x̂)
@group(0) @binding(9) var<storage, read_write> sums: array<vec2f>;            // [N/B,C]: the same
@group(0) @binding(10) var<storage, read_write> dx: array<real>;
@group(0) @binding(11) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(12) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(13) var<uniform> params: Params;

/* The part of x that is a workgroup's. */
struct Span { row: u32, start: u32, end: u32 }

fn spanOf(group: vec3u) -> Span {
  let row = group.z * params.channels + group.y;
  let start = group.x * params.chunk;
  let end = min(start + params.chunk, params.voxels);
  return Span(row, row * params.voxels + start, row * params.voxels + end);
}

fn statisticsOf(group: vec3u) -> Statistics {
  return statistics[group.z / params.together * params.channels + group.y];
}

/* x - mean, exact where the two are nearly equal. */
fn centred(value: real, s: Statistics) -> f32 { return f32(value) - s.shift - s.mean; }

/* The ReLU of z; NaN stays NaN, see relu.wgsl. */
fn rectified(z: f32) -> f32 {
  let bits = bitcast<u32>(z);
  return select(z, 0.0, bits >= 0x80000000u && bits <= 0xff800000u);
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

/* The moments of a workgroup's values, for its first thread. */
fn gathered(lane: u32, own: Moments) -> Moments {
  var all = own;
  parts[lane] = all;
  workgroupBarrier();
  if (lane < FEW) {
    for (var i = lane + FEW; i < WG; i += FEW) { all = merged(all, parts[i]); }
    parts[lane] = all;
  }
  workgroupBarrier();
  if (lane == 0) {
    for (var i = 1u; i < FEW; i++) { all = merged(all, parts[i]); }
  }
  return all;
}

fn statisticsFrom(all: Moments, least: f32) -> Statistics {
  let variance = all.squares / all.count;
  return Statistics(all.shift, all.mean, variance, 1 / sqrt(variance + least));
}

/* The moments of a chunk, for a workgroup's first thread. */
fn momentsOf(span: Span, lane: u32) -> Moments {
  let shift = f32(x[span.start]);
  var own = Moments(0, shift, 0, 0);
  for (var i = span.start + lane; i < span.end; i += WG) {   // Welford's update
    let value = f32(x[i]) - shift;
    let difference = value - own.mean;
    own.count += 1.0;
    own.mean += difference / own.count;
    own.squares += difference * (value - own.mean);
  }
  return gathered(lane, own);
}

@compute @workgroup_size(WG)
fn partialMoments(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let span = spanOf(group);
  let all = momentsOf(span, lane);
  if (lane == 0) { moments[span.row * groups.x + group.x] = all; }
}

/* The statistics of a row that is one chunk. */
@compute @workgroup_size(WG)
fn rowStatistics(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let span = spanOf(group);
  let all = momentsOf(span, lane);
  if (lane == 0) { statistics[span.row] = statisticsFrom(all, eps); }
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
  let span = spanOf(group);
  let s = statisticsOf(group);
  let scale = weight[group.y] * s.rstd;
  let offset = bias[group.y];
  for (var i = span.start + lane; i < span.end; i += WG) {
    var value = fma(centred(x[i], s), scale, offset);
    if (activated) { value = rectified(value); }
    if (added) { value += f32(skip[i]); }
    y[i] = real(value);
  }
}

var<workgroup> tree: array<vec2f, WG>;

/* The sum over a workgroup, for its first thread. */
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
  if (lane == 0) {
    for (var i = 1u; i < FEW; i++) { sum += tree[i]; }
  }
  return sum;
}

/* dz, of x - mean; as `forward` computes z. */
fn through(value: real, difference: f32, scale: f32, offset: f32) -> f32 {
  return select(f32(value), 0.0, activated && !(fma(difference, scale, offset) > 0.0));
}

@compute @workgroup_size(WG)
fn partialSums(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let span = spanOf(group);
  let s = statisticsOf(group);
  let scale = weight[group.y] * s.rstd;
  let offset = bias[group.y];
  var own = vec2f(0);
  for (var i = span.start + lane; i < span.end; i += WG) {
    let difference = centred(x[i], s);
    let dz = through(dy[i], difference, scale, offset);
    own += vec2f(dz, dz * difference);
  }
  let sum = total(lane, own);
  if (lane == 0) { partial[span.row * groups.x + group.x] = vec2f(sum.x, sum.y * s.rstd); }
}

/* A workgroup c: the sums of each of the channel's groups, and what all these add up to. */
@compute @workgroup_size(WG)
fn mergeSums(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let c = group.x;
  let chunks = arrayLength(&partial) / (arrayLength(&sums) * params.together);
  let last = arrayLength(&sums) / params.channels;
  var all = vec2f(0);
  for (var b = 0u; b < last; b++) {
    var own = vec2f(0);
    for (var i = lane; i < params.together * chunks; i += WG) {
      let row = (b * params.together + i / chunks) * params.channels + c;
      own += partial[row * chunks + i % chunks];
    }
    let sum = total(lane, own);
    if (lane == 0) { sums[b * params.channels + c] = sum; }
    all += sum;
  }
  if (lane == 0) {
    dweight[c] = all.y;
    dbias[c] = all.x;
  }
}

@compute @workgroup_size(WG)
fn backwardInput(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let span = spanOf(group);
  let s = statisticsOf(group);
  let scale = weight[group.y] * s.rstd;
  let offset = bias[group.y];
  let all = sums[group.z / params.together * params.channels + group.y];
  let mean = select(all / (f32(params.voxels) * f32(params.together)), vec2f(0), constant);
  let slope = mean.y * s.rstd;
  for (var i = span.start + lane; i < span.end; i += WG) {
    let difference = centred(x[i], s);
    let dz = through(dy[i], difference, scale, offset);
    dx[i] = real(scale * (dz - mean.x - difference * slope));
  }
}
