// y = 1 / (1 + e⁻ˣ)        dx = dy · y · (1 - y)
// With e = exp(-|x|), which cannot overflow, y is 1 / (1 + e) for x ≥ 0 and e / (1 + e) below.

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
    let value = f32(x[i]);
    let e = exp(-abs(value));
    y[i] = real(select(e, 1.0, value >= 0.0) / (1.0 + e));
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
    dx[i] = real(f32(dy[i]) * value * (1.0 - value));
  }
}
