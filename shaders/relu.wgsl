// y = max(x, 0)      dx = dy for y > 0, else 0
// But NaN stays NaN, or else a network that has diverged would be silent. Its bits are compared, for compilers may
// take it that no number is NaN.

override WG: u32 = 64;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  let bits = bitcast<u32>(x[i]);
  y[i] = select(x[i], 0.0, bits >= 0x80000000u && bits <= 0xff800000u);   // from -0 to -infinity
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx)) { return; }
  dx[i] = select(0.0, dy[i], y[i] > 0.0);
}
