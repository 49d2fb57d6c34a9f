// The difference of the angles between rows.   s, t [R,K] → y
//   n_ij = (x_j - x_i) / max(‖x_j - x_i‖, eps)       cos_ijk = <n_ij, n_ik>
//   y = (1/R³) Σ_{i,j,k} smoothL1(cos_ijk(s) - cos_ijk(t)),  smoothL1(e) = e²/2 where |e| < 1, else |e| - 1/2
//   dn_ij = (2/R³) Σ_k clamp(e_ijk, -1, 1) n_ik      dd_ij = (dn_ij - n_ij <n_ij, dn_ij>) / ‖x_j - x_i‖
//   ds_a = dy (Σ_i dd_ia - Σ_j dd_aj)
//
// directions, rows, pulls: an invocation takes a pair (i,j). backward: an element of ds.

override WG: u32 = 64;      // a power of two

struct Params {
  rows: u32,                // R
  width: u32,               // K
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> n: array<f32>;            // [R,R,K]
@group(0) @binding(2) var<storage, read_write> inverse: array<f32>;      // [R,R]: 1 / length, 0 for length 0
@group(0) @binding(3) var<storage, read> ns: array<f32>;
@group(0) @binding(4) var<storage, read> nt: array<f32>;
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;         // [R,R]
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<storage, read> scale: array<f32>;              // inverse, of s
@group(0) @binding(8) var<storage, read_write> pull: array<f32>;         // dd [R,R,K]
@group(0) @binding(9) var<storage, read> dy: array<f32>;
@group(0) @binding(10) var<storage, read_write> ds: array<f32>;
@group(0) @binding(11) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn directions(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let pair = id.x + id.y * groups.x * WG;
  if (pair >= params.rows * params.rows) { return; }
  let first = pair / params.rows * params.width;
  let last = pair % params.rows * params.width;
  var square = 0.0;
  for (var k = 0u; k < params.width; k++) { square += (x[last + k] - x[first + k]) * (x[last + k] - x[first + k]); }
  let length = sqrt(square);
  let factor = 1.0 / max(length, params.eps);
  inverse[pair] = select(factor, 0.0, length < params.eps);
  for (var k = 0u; k < params.width; k++) { n[pair * params.width + k] = (x[last + k] - x[first + k]) * factor; }
}

// cos_ijk(s) - cos_ijk(t), with `pair` = (i,j)
fn difference(pair: u32, k: u32) -> f32 {
  let a = pair * params.width;
  let b = (pair / params.rows * params.rows + k) * params.width;
  var sum = vec2f();
  for (var f = 0u; f < params.width; f++) { sum += vec2f(ns[a + f] * ns[b + f], nt[a + f] * nt[b + f]); }
  return sum.x - sum.y;
}

@compute @workgroup_size(WG)
fn rows(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let pair = id.x + id.y * groups.x * WG;
  if (pair >= params.rows * params.rows) { return; }
  var sum = 0.0;
  for (var k = 0u; k < params.rows; k++) {
    let e = abs(difference(pair, k));
    sum += select(e - 0.5, 0.5 * e * e, e < 1.0);
  }
  sums[pair] = sum;
}

@compute @workgroup_size(WG)
fn combine(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < arrayLength(&sums); i += WG) { sum += sums[i]; }
  tree[thread] = sum;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] += tree[thread + half]; }
  }
  if (thread == 0u) { y[0] = tree[0] / (f32(params.rows) * f32(params.rows) * f32(params.rows)); }
}

@compute @workgroup_size(WG)
fn pulls(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let pair = id.x + id.y * groups.x * WG;
  if (pair >= params.rows * params.rows) { return; }
  let a = pair * params.width;
  for (var f = 0u; f < params.width; f++) { pull[a + f] = 0.0; }
  for (var k = 0u; k < params.rows; k++) {
    let slope = clamp(difference(pair, k), -1.0, 1.0);
    let b = (pair / params.rows * params.rows + k) * params.width;
    for (var f = 0u; f < params.width; f++) { pull[a + f] += slope * ns[b + f]; }
  }
  var along = 0.0;
  for (var f = 0u; f < params.width; f++) { along += ns[a + f] * pull[a + f]; }
  for (var f = 0u; f < params.width; f++) { pull[a + f] = (pull[a + f] - ns[a + f] * along) * scale[pair]; }
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&ds)) { return; }
  let row = i / params.width;
  let f = i % params.width;
  var sum = 0.0;
  for (var j = 0u; j < params.rows; j++) {
    sum += pull[(j * params.rows + row) * params.width + f] - pull[(row * params.rows + j) * params.width + f];
  }
  ds[i] = dy[0] * 2.0 * sum / (f32(params.rows) * f32(params.rows) * f32(params.rows));
}
