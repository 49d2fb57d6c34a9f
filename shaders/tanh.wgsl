// y = tanh x        dx = dy · (1 - y) · (1 + y)
// For |x| < 0.625 Lambert's continued fraction x / (1 + x² / (3 + x² / (5 + x² / (7 + x² / 9)))), to 1e-9; beyond,
// 1 - 2 / (e²ˣ + 1), where x is at most 10: there y is 1 in float32, and the exponential cannot overflow.

override WG: u32 = 64;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  let value = abs(x[i]);
  let z = value * value;
  let near = value * (945.0 + z * (105.0 + z)) / (945.0 + z * (420.0 + z * 15.0));
  let far = 1.0 - 2.0 / (exp(2.0 * min(value, 10.0)) + 1.0);
  y[i] = sign(x[i]) * select(far, near, value < 0.625);
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx)) { return; }
  dx[i] = dy[i] * (1.0 - y[i]) * (1.0 + y[i]);
}
