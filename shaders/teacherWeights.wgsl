// Weights of M teachers for each sample, by the similarity of its features to a vector of each teacher.
// features [N,D], factors [M,D], blend [D] → w [N,M]
//   w[n,m] = softmax_m Σ_d blend[d] · features[n,d] · factors[m,d]
//   ds[n,m] = w[n,m] · (dw[n,m] - Σ_k w[n,k] dw[n,k])
//   dfeatures[n,d] = blend[d] Σ_m ds[n,m] factors[m,d]
//   dfactors[m,d] = blend[d] Σ_n ds[n,m] features[n,d]
//   dblend[d] = Σ_{n,m} ds[n,m] features[n,d] factors[m,d]
// An invocation computes one element of a result; forward and backwardScores take a sample each.

override WG: u32 = 64;

struct Params {
  samples: u32,             // N
  teachers: u32,            // M
  width: u32,               // D
}

@group(0) @binding(0) var<storage, read> features: array<f32>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;
@group(0) @binding(2) var<storage, read> blend: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;
@group(0) @binding(4) var<storage, read> dw: array<f32>;
@group(0) @binding(5) var<storage, read_write> ds: array<f32>;
@group(0) @binding(6) var<storage, read_write> dfeatures: array<f32>;
@group(0) @binding(7) var<storage, read_write> dfactors: array<f32>;
@group(0) @binding(8) var<storage, read_write> dblend: array<f32>;
@group(0) @binding(9) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= params.samples) { return; }
  let row = i * params.teachers;
  var largest = score(i, 0u);
  for (var m = 0u; m < params.teachers; m++) {
    w[row + m] = score(i, m);
    largest = max(largest, w[row + m]);
  }
  var sum = 0.0;
  for (var m = 0u; m < params.teachers; m++) {
    w[row + m] = exp(w[row + m] - largest);
    sum += w[row + m];
  }
  for (var m = 0u; m < params.teachers; m++) { w[row + m] /= sum; }
}

fn score(n: u32, m: u32) -> f32 {
  var sum = 0.0;
  for (var d = 0u; d < params.width; d++) {
    sum += blend[d] * features[n * params.width + d] * factors[m * params.width + d];
  }
  return sum;
}

// w is bound to be written; here it is read.
@compute @workgroup_size(WG)
fn backwardScores(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= params.samples) { return; }
  let row = i * params.teachers;
  let first = dw[row];      // as a reference, so that a common part of dw is no source of rounding errors
  var mean = 0.0;
  for (var m = 0u; m < params.teachers; m++) { mean += w[row + m] * (dw[row + m] - first); }
  for (var m = 0u; m < params.teachers; m++) { ds[row + m] = w[row + m] * (dw[row + m] - first - mean); }
}

@compute @workgroup_size(WG)
fn backwardFeatures(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dfeatures)) { return; }
  let n = i / params.width;
  let d = i % params.width;
  var sum = 0.0;
  for (var m = 0u; m < params.teachers; m++) {
    sum += ds[n * params.teachers + m] * factors[m * params.width + d];
  }
  dfeatures[i] = blend[d] * sum;
}

@compute @workgroup_size(WG)
fn backwardFactors(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dfactors)) { return; }
  let m = i / params.width;
  let d = i % params.width;
  var sum = 0.0;
  for (var n = 0u; n < params.samples; n++) {
    sum += ds[n * params.teachers + m] * features[n * params.width + d];
  }
  dfactors[i] = blend[d] * sum;
}

@compute @workgroup_size(WG)
fn backwardBlend(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dblend)) { return; }
  var sum = 0.0;
  for (var j = 0u; j < params.samples * params.teachers; j++) {
    let at = j / params.teachers * params.width + i;
    sum += ds[j] * features[at] * factors[j % params.teachers * params.width + i];
  }
  dblend[i] = sum;
}
