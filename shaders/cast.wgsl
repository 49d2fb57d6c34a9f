// y = x in another precision: f32 from or to `real`, which is f16 wherever this runs.

alias real = f32;

override WG: u32 = 64;

@group(0) @binding(0) var<storage, read> wide: array<f32>;
@group(0) @binding(1) var<storage, read> halves: array<real>;
@group(0) @binding(2) var<storage, read_write> widened: array<f32>;
@group(0) @binding(3) var<storage, read_write> narrowed: array<real>;

@compute @workgroup_size(WG)
fn widen(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&widened)) { return; }
  widened[i] = f32(halves[i]);
}

@compute @workgroup_size(WG)
fn narrow(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&wide)) { return; }
  narrowed[i] = real(wide[i]);
}
