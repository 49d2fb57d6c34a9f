// Mean and standard deviation of each channel of each sample.   x [N·C,V] → y [N·C]: (mean, √(variance + eps))
//   dx[r,v] = (dmean[r] + dstd[r] · (x[r,v] - mean) / std) / V
// What they are made of, instanceNorm.wgsl computes: of x - shift, so that no digits are lost where mean >> std.

override WG: u32 = 64;

struct Statistics {
  shift: f32,
  mean: f32,                // of x - shift
  variance: f32,
  rstd: f32,                // 1/√(variance + eps)
}

struct Params {
  voxels: u32,              // V
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> statistics: array<Statistics>;  // [N·C]
@group(0) @binding(2) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(3) var<storage, read> dy: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  y[i] = vec2f(statistics[i].shift + statistics[i].mean, 1.0 / statistics[i].rstd);
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dx)) { return; }
  let s = statistics[i / params.voxels];
  let d = dy[i / params.voxels];
  dx[i] = (d.x + d.y * (x[i] - s.shift - s.mean) * s.rstd) / f32(params.voxels);
}
