// Functions of each element by itself.
//   relu        y = max(x, 0)                       dx = dy where y > 0, else 0
//   leakyRelu   y = x where x > 0, else slope · x   dx = dy where y > 0, else slope · dy
//   sigmoid     y = 1 / (1 + e⁻ˣ)                   dx = dy · y · (1 - y)
//   tanh        y = tanh x                          dx = dy · (1 - y) · (1 + y)
//   gelu        y = x · Φ(x)                        dx = dy · (Φ(x) + x · φ(x))
// A gradient is computed from y, gelu's from x.

alias real = f32;

override WG: u32 = 64;
override EACH: u32 = 16;                // elements of an invocation, WG apart
override activation: u32;               // one of the five:
const RELU = 0u;
const LEAKY_RELU = 1u;
const SIGMOID = 2u;
const TANH = 3u;
const GELU = 4u;
override slope: f32 = 0.01;             // of leakyRelu

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read_write> y: array<real>;
@group(0) @binding(2) var<storage, read> kept: array<real>;             // y, or x
@group(0) @binding(3) var<storage, read> dy: array<real>;
@group(0) @binding(4) var<storage, read_write> dx: array<real>;

@compute @workgroup_size(WG)
fn forward(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let start = (group.x + group.y * groups.x) * WG * EACH + lane;
  let end = min(start + WG * EACH, arrayLength(&y));
  for (var i = start; i < end; i += WG) { y[i] = real(activate(f32(x[i]))); }
}

@compute @workgroup_size(WG)
fn backward(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let start = (group.x + group.y * groups.x) * WG * EACH + lane;
  let end = min(start + WG * EACH, arrayLength(&dx));
  for (var i = start; i < end; i += WG) { dx[i] = real(pullback(f32(kept[i]), f32(dy[i]))); }
}

fn activate(value: f32) -> f32 {
  if (activation == RELU) { return rectified(value); }
  if (activation == LEAKY_RELU) { return select(slope * value, value, value > 0.0); }
  if (activation == SIGMOID) { return logistic(value); }
  if (activation == TANH) { return tangent(value); }
  return value * integral(value);
}

fn pullback(kept: f32, dy: f32) -> f32 {
  if (activation == RELU) { return select(0.0, dy, kept > 0.0); }
  if (activation == LEAKY_RELU) { return select(slope * dy, dy, kept > 0.0); }
  if (activation == SIGMOID) { return dy * kept * (1.0 - kept); }
  if (activation == TANH) { return dy * (1.0 - kept) * (1.0 + kept); }
  return dy * (integral(kept) + kept * 0.398942280 * bell(kept));
}

// NaN stays NaN, so that a diverged network shows. The bits are compared, since a compiler may assume that
// there is no NaN.
fn rectified(value: f32) -> f32 {
  let bits = bitcast<u32>(value);
  return select(value, 0.0, bits >= 0x80000000u && bits <= 0xff800000u);   // from -0 to -infinity
}

// exp(-|x|) cannot overflow.
fn logistic(value: f32) -> f32 {
  let e = exp(-abs(value));
  return select(e, 1.0, value >= 0.0) / (1.0 + e);
}

// For |x| < 0.625 Lambert's continued fraction x / (1 + x² / (3 + x² / (5 + x² / (7 + x² / 9)))), to 1e-9;
// beyond, 1 - 2 / (e²ˣ + 1), where x is at most 10: there y is 1 in float32, and the exponential cannot
// overflow.
fn tangent(signed: f32) -> f32 {
  let value = abs(signed);
  let z = value * value;
  let near = value * (945.0 + z * (105.0 + z)) / (945.0 + z * (420.0 + z * 15.0));
  let far = 1.0 - 2.0 / (exp(2.0 * min(value, 10.0)) + 1.0);
  return sign(signed) * select(far, near, value < 0.625);
}

// Φ, the integral of the standard normal distribution, (1 + erf(x/√2)) / 2. For |x| < 1 Φ - ½ is an odd
// polynomial in x; beyond, Φ(-|x|) is exp(-x²/2) times a polynomial in t = 1 / (1 + 0.3 |x|). Both are fitted
// to the exact function: Φ is off by at most 1e-7, its tail by 1e-6 of itself.
fn integral(value: f32) -> f32 {
  if (abs(value) < 1.0) {
    let z = value * value;
    let high = -0.0011863485 + z * (0.000113507478 - z * 7.66260837e-6);
    return 0.5 + value * (0.398942292 + z * (-0.0664903596 + z * (0.00997333042 + z * high)));
  }
  let t = 1.0 / (1.0 + 0.3 * abs(value));
  let highest = 0.191595018 + t * (-0.228077635 + t * (0.112380125 - t * 0.020613635));
  let high = 0.078423664 + t * (0.0960635319 + t * (-0.0792582259 + t * highest));
  let tail = bell(value) * t * (0.119686633 + t * (0.119572796 + t * (0.110227719 + t * high)));
  return select(tail, 1.0 - tail, value > 0.0);
}

// √(2π) φ = exp(-x²/2), of a square that cannot overflow.
fn bell(value: f32) -> f32 {
  let near = min(abs(value), 20.0);
  return exp(-0.5 * near * near);
}
