// y = tanh x        dx = dy · (1 - y) · (1 + y)
// For |x| < 0.625 Lambert's continued fraction x / (1 + x² / (3 + x² / (5 + x² / (7 + x² / 9)))), to 1e-9; beyond,
// 1 - 2 / (e²ˣ + 1), where x is at most 10: there y is 1 in float32, and the exponential cannot overflow.

alias real = f32;

override WG: u32 = 64;
override EACH: u32 = 16;                // elements of an invocation, WG apart

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read_write> y: array<real>;
@group(0) @binding(2) var<storage, read> dy: array<real>;
@group(0) @binding(3) var<storage, read_write> dx: array<real>;

@compute @workgroup_size(WG)
fn forward(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let start = (group.x + group.y * groups.x) * WG * EACH + lane;
  let end = min(start + WG * EACH, arrayLength(&y));
  for (var i = start; i < end; i += WG) {
    let signed = f32(x[i]);
    let value = abs(signed);
    let z = value * value;
    let near = value * (945.0 + z * (105.0 + z)) / (945.0 + z * (420.0 + z * 15.0));
    let far = 1.0 - 2.0 / (exp(2.0 * min(value, 10.0)) + 1.0);
    y[i] = real(sign(signed) * select(far, near, value < 0.625));
  }
}

@compute @workgroup_size(WG)
fn backward(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let start = (group.x + group.y * groups.x) * WG * EACH + lane;
  let end = min(start + WG * EACH, arrayLength(&dx));
  for (var i = start; i < end; i += WG) {
    let value = f32(y[i]);
    dx[i] = real(f32(dy[i]) * (1.0 - value) * (1.0 + value));
  }
}
