// Instance norm, and batch norm, which is the same where B samples share statistics.   x [N,C,V]
// A group g is what shares them: one channel's V voxels in each of B samples, M = B·V values.
//   x̂ = (x - mean[g]) · rstd[g]      rstd = 1/√(variance + eps), variance = Σ (x - mean)² / M
//   y = weight[c] · x̂ + bias[c]
//   dx = weight[c] · rstd · (dy - Σ_g dy / M - x̂ · Σ_g (dy·x̂) / M)
//   dweight[c] = Σ_{n,v} dy · x̂      dbias[c] = Σ_{n,v} dy
//
// partial…: a workgroup (chunk, c, n) reduces one chunk of a row of V voxels. merge…: a workgroup merges
// a group's chunks. So that no digits are lost where mean >> std, everything is of x - shift, where shift is
// the group's first value, and squares are summed around a chunk's own mean: Σ (x - mean)² over a group is
// Σ over its chunks of M2 + size·(chunk's mean - mean)²   (Chan, Golub and LeVeque 1983).
//
// partial holds (mean, M2) of chunks in forward, (Σ dy, Σ dy·x̂) in backward.

override WG: u32 = 64;                  // a power of two
override eps: f32;
override constant: bool = false;        // whether the statistics do not depend on x

struct Params {
  channels: u32,                        // C
  voxels: u32,                          // V
  chunk: u32,                           // voxels of a chunk
  together: u32,                        // B
}
struct Statistics {
  shift: f32,
  mean: f32,                            // of x - shift
  variance: f32,
  rstd: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec2f>; // [groups, B, chunks]
@group(0) @binding(4) var<storage, read_write> statistics: array<Statistics>; // [groups]
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read> dy: array<f32>;
@group(0) @binding(7) var<storage, read_write> sums: array<vec2f>;      // [groups]: (Σ dy, Σ dy·x̂)
@group(0) @binding(8) var<storage, read_write> dx: array<f32>;
@group(0) @binding(9) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(10) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(11) var<uniform> params: Params;

fn groupOf(n: u32, c: u32) -> u32 { return n / params.together * params.channels + c; }

fn standardised(value: f32, s: Statistics) -> f32 { return (value - s.shift - s.mean) * s.rstd; }

var<workgroup> tree: array<vec2f, WG>;

/* The sum over a workgroup, for all its threads. */
fn total(lane: u32, value: vec2f) -> vec2f {
  tree[lane] = value;
  for (var half = WG / 2; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) { tree[lane] += tree[lane + half]; }
  }
  return workgroupUniformLoad(&tree[0]);
}

/* Where the partial result of a workgroup (chunk, c, n) belongs. */
fn place(group: vec3u, chunks: u32) -> u32 {
  return (groupOf(group.z, group.y) * params.together + group.z % params.together) * chunks + group.x;
}

@compute @workgroup_size(WG)
fn partialMoments(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let row = (group.z * params.channels + group.y) * params.voxels;
  let start = group.x * params.chunk;
  let end = min(start + params.chunk, params.voxels);
  let first = group.z - group.z % params.together;       // the group's first sample
  let shift = x[(first * params.channels + group.y) * params.voxels];

  var sum = 0.0;
  for (var v = start + lane; v < end; v += WG) { sum += x[row + v] - shift; }
  let mean = total(lane, vec2f(sum, 0)).x / f32(end - start);

  var squares = 0.0;
  for (var v = start + lane; v < end; v += WG) {
    let difference = x[row + v] - shift - mean;
    squares += difference * difference;
  }
  squares = total(lane, vec2f(squares, 0)).x;
  if (lane == 0) { partial[place(group, groups.x)] = vec2f(mean, squares); }
}

@compute @workgroup_size(WG)
fn mergeMoments(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let g = group.x;
  let count = arrayLength(&partial) / arrayLength(&statistics);
  let chunks = count / params.together;
  let last = params.voxels - (chunks - 1) * params.chunk; // voxels of a row's last chunk
  let all = f32(params.voxels) * f32(params.together);

  var sum = 0.0;
  for (var i = lane; i < count; i += WG) {
    sum += partial[g * count + i].x * f32(select(params.chunk, last, i % chunks == chunks - 1));
  }
  let mean = total(lane, vec2f(sum, 0)).x / all;

  var squares = 0.0;
  for (var i = lane; i < count; i += WG) {
    let size = f32(select(params.chunk, last, i % chunks == chunks - 1));
    let difference = partial[g * count + i].x - mean;
    squares += partial[g * count + i].y + size * difference * difference;
  }
  let variance = total(lane, vec2f(squares, 0)).x / all;
  if (lane == 0) {
    let sample = g / params.channels * params.together;
    let shift = x[(sample * params.channels + g % params.channels) * params.voxels];
    statistics[g] = Statistics(shift, mean, variance, 1 / sqrt(variance + eps));
  }
}

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  let row = i / params.voxels;
  let c = row % params.channels;
  let s = statistics[groupOf(row / params.channels, c)];
  y[i] = fma(x[i] - s.shift - s.mean, weight[c] * s.rstd, bias[c]);
}

@compute @workgroup_size(WG)
fn partialSums(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let row = (group.z * params.channels + group.y) * params.voxels;
  let start = group.x * params.chunk;
  let end = min(start + params.chunk, params.voxels);
  let s = statistics[groupOf(group.z, group.y)];
  var sum = vec2f(0);
  for (var v = start + lane; v < end; v += WG) {
    sum += dy[row + v] * vec2f(1, standardised(x[row + v], s));
  }
  sum = total(lane, sum);
  if (lane == 0) { partial[place(group, groups.x)] = sum; }
}

@compute @workgroup_size(WG)
fn mergeSums(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let count = arrayLength(&partial) / arrayLength(&sums);
  var sum = vec2f(0);
  for (var i = lane; i < count; i += WG) { sum += partial[group.x * count + i]; }
  sum = total(lane, sum);
  if (lane == 0) { sums[group.x] = sum; }
}

@compute @workgroup_size(WG)
fn backwardInput(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx)) { return; }
  let row = i / params.voxels;
  let c = row % params.channels;
  let g = groupOf(row / params.channels, c);
  let s = statistics[g];
  let mean = sums[g] / (f32(params.voxels) * f32(params.together));
  let through = select(mean.x + standardised(x[i], s) * mean.y, 0.0, constant);
  dx[i] = weight[c] * s.rstd * (dy[i] - through);
}

@compute @workgroup_size(WG)
fn backwardWeight(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&dweight)) { return; }
  var sum = 0.0;
  for (var g = id.x; g < arrayLength(&sums); g += params.channels) { sum += sums[g].y; }
  dweight[id.x] = sum;
}

@compute @workgroup_size(WG)
fn backwardBias(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&dbias)) { return; }
  var sum = 0.0;
  for (var g = id.x; g < arrayLength(&sums); g += params.channels) { sum += sums[g].x; }
  dbias[id.x] = sum;
}
