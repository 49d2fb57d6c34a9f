// y = max(x, 0)      dx = dy for y > 0, else 0
// But NaN stays NaN, or else a network that has diverged would be silent. Its bits are compared, for compilers may
// take it that no number is NaN.

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
    let bits = bitcast<u32>(value);
    y[i] = real(select(value, 0.0, bits >= 0x80000000u && bits <= 0xff800000u));   // from -0 to -infinity
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
    dx[i] = real(select(0.0, f32(dy[i]), f32(y[i]) > 0.0));
  }
}
