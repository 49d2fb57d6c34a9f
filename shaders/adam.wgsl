// Adam (Kingma & Ba 2015) over all parameters at once: as torch.optim.Adam, with an L2 term in the gradient
// (decay), or as torch.optim.AdamW (Loshchilov & Hutter 2019), which shrinks the parameters instead. One of
// decay and shrink is 0.
//   g = factor·gradient + decay·p       p = p - shrink·p
//   m = β1·m + (1-β1)·g          v = β2·v + (1-β2)·g²
//   p = p - rate/(1-β1ᵗ) · m / (√v / √(1-β2ᵗ) + eps)
// A guard (gradientGuard.wgsl) gives the factor. A step whose gradients are not finite changes nothing.

override WG: u32 = 64u;
override guarded: bool = false;

struct Params {
  beta1: f32,
  beta2: f32,
  eps: f32,
  decay: f32,
  size: f32,                // rate / (1-β1ᵗ)
  root: f32,                // √(1-β2ᵗ)
  shrink: f32,              // rate · decoupled decay; 1 - shrink would have few digits in float32
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read_write> mean: array<f32>;         // m
@group(0) @binding(2) var<storage, read_write> square: array<f32>;       // v
@group(0) @binding(3) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(4) var<storage, read> guard: array<f32>;              // a Guard; not read unless guarded
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn step(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&parameter)) { return; }
  if (guarded && guard[2] == 0.0) { return; }
  let p = parameter[i];
  let g = gradient[i] * select(1.0, guard[1], guarded) + params.decay * p;
  let m = params.beta1 * mean[i] + (1.0 - params.beta1) * g;
  let v = params.beta2 * square[i] + (1.0 - params.beta2) * g * g;
  mean[i] = m;
  square[i] = v;
  parameter[i] = p - params.shrink * p - params.size * m / (sqrt(v) / params.root + params.eps);
}
