// Each column of a matrix times a factor of its own.   x [N,K], scale [K]
//   y[n,k] = scale[k] x[n,k]        dscale[k] = Σ_n dy[n,k] x[n,k]
// An invocation computes one element of a result. dx is y of dy.

override WG: u32 = 64;

@group(0) @binding(0) var<storage, read> x: array<f32>;                  // [N,K]
@group(0) @binding(1) var<storage, read> scale: array<f32>;              // [K]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;            // [N,K]
@group(0) @binding(3) var<storage, read> dy: array<f32>;                 // [N,K]
@group(0) @binding(4) var<storage, read_write> dscale: array<f32>;       // [K]

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  y[i] = scale[i % arrayLength(&scale)] * x[i];
}

@compute @workgroup_size(WG)
fn backwardScale(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let k = id.x + id.y * groups.x * WG;
  if (k >= arrayLength(&dscale)) { return; }
  var sum = 0.0;
  for (var i = k; i < arrayLength(&x); i += arrayLength(&dscale)) { sum += dy[i] * x[i]; }
  dscale[k] = sum;
}
