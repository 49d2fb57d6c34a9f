// Instance norm: a workgroup normalises one channel, and reads it three times.   x [N,C,V]
//   y = weight[c] · (x - mean) / √(variance + eps) + bias[c], mean and variance of the V voxels

alias real = f32;

override WG: u32 = 256;
override eps: f32;

struct Params {
  channels: u32,            // C
  voxels: u32,              // V
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<real>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

/* The sum over a workgroup, for all its threads. */
fn total(lane: u32, own: f32) -> f32 {
  workgroupBarrier();                   // until all have read the earlier sum
  tree[lane] = own;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (lane < half) { tree[lane] += tree[lane + half]; }
    workgroupBarrier();
  }
  return tree[0];
}

@compute @workgroup_size(WG)
fn forward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let c = group.x % params.channels;
  let start = group.x * params.voxels;
  let end = start + params.voxels;

  var own = 0.0;
  for (var i = start + lane; i < end; i += WG) { own += f32(x[i]); }
  let mean = total(lane, own) / f32(params.voxels);
  own = 0.0;
  for (var i = start + lane; i < end; i += WG) { own += (f32(x[i]) - mean) * (f32(x[i]) - mean); }
  let scale = weight[c] / sqrt(total(lane, own) / f32(params.voxels) + eps);
  for (var i = start + lane; i < end; i += WG) { y[i] = real(fma(f32(x[i]) - mean, scale, bias[c])); }
}
