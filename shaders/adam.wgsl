// Adam (Kingma & Ba 2015) with L2 added to the gradient, as torch.optim.Adam, over all parameters at once.
//   g = gradient + decay·p
//   m = β1·m + (1-β1)·g          v = β2·v + (1-β2)·g²
//   p = p - rate/(1-β1ᵗ) · m / (√v / √(1-β2ᵗ) + eps)

override WG: u32 = 64u;

struct Params {
  beta1: f32,
  beta2: f32,
  eps: f32,
  decay: f32,
  size: f32,                // of the step: rate / (1-β1ᵗ)
  root: f32,                // √(1-β2ᵗ)
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read_write> mean: array<f32>;         // m
@group(0) @binding(2) var<storage, read_write> square: array<f32>;       // v
@group(0) @binding(3) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn step(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&parameter)) { return; }
  let p = parameter[i];
  let g = gradient[i] + params.decay * p;
  let m = params.beta1 * mean[i] + (1.0 - params.beta1) * g;
  let v = params.beta2 * square[i] + (1.0 - params.beta2) * g * g;
  mean[i] = m;
  square[i] = v;
  parameter[i] = p - params.size * m / (sqrt(v) / params.root + params.eps);
}
