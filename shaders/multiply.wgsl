// y = a · b         da = dy · b,  db = dy · a, by the same kernel

alias real = f32;

override WG: u32 = 64;
override EACH: u32 = 16;                // elements of an invocation, WG apart

@group(0) @binding(0) var<storage, read> a: array<real>;
@group(0) @binding(1) var<storage, read> b: array<real>;
@group(0) @binding(2) var<storage, read_write> y: array<real>;

@compute @workgroup_size(WG)
fn forward(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let start = (group.x + group.y * groups.x) * WG * EACH + lane;
  let end = min(start + WG * EACH, arrayLength(&y));
  for (var i = start; i < end; i += WG) {
    y[i] = real(f32(a[i]) * f32(b[i]));
  }
}
