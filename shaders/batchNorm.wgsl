// The running statistics of batch norm, which is otherwise instanceNorm.wgsl.
//   update: running = (1 - momentum)·running + momentum·batch, of the mean and the unbiased variance M2/(M-1)
//           A batch whose variance is not finite, by its bits, changes nothing: NaN would stay for good.
//   evaluate: statistics = (running mean, running variance)

override WG: u32 = 64;
override eps: f32;

struct Params {
  values: f32,                          // M, the number of a channel's values
  momentum: f32,
}
struct Statistics {                     // as in instanceNorm.wgsl
  shift: f32,
  mean: f32,                            // of x - shift
  variance: f32,
  rstd: f32,
}

@group(0) @binding(0) var<storage, read_write> statistics: array<Statistics>; // [C]
@group(0) @binding(1) var<storage, read_write> runningMean: array<f32>;       // [C]
@group(0) @binding(2) var<storage, read_write> runningVariance: array<f32>;   // [C]
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn update(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  if (c >= arrayLength(&statistics)) { return; }
  let s = statistics[c];
  if ((bitcast<u32>(s.variance) & 0x7f800000u) == 0x7f800000u) { return; }
  let unbiased = s.variance * (params.values / (params.values - 1));
  runningMean[c] = mix(runningMean[c], s.shift + s.mean, params.momentum);
  runningVariance[c] = mix(runningVariance[c], unbiased, params.momentum);
}

@compute @workgroup_size(WG)
fn evaluate(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  if (c >= arrayLength(&statistics)) { return; }
  statistics[c] = Statistics(runningMean[c], 0, runningVariance[c], 1 / sqrt(runningVariance[c] + eps));
}
