// y = 1 / (1 + e⁻ˣ)        dx = dy · y · (1 - y)
// With e = exp(-|x|), which cannot overflow, y is 1 / (1 + e) for x ≥ 0 and e / (1 + e) below.

override WG: u32 = 64;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  let e = exp(-abs(x[i]));
  y[i] = select(e, 1.0, x[i] >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx)) { return; }
  dx[i] = dy[i] * y[i] * (1.0 - y[i]);
}
