// The moving average of weights, in place: average ← m · average + (1 - m) · weight

@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read_write> average: array<f32>;
struct Params { momentum: f32 }
@group(0) @binding(2) var<uniform> params: Params;
override WG: u32 = 64;

@compute @workgroup_size(WG)
fn update(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&average)) { return; }
  average[i] = params.momentum * average[i] + (1.0 - params.momentum) * weight[i];
}
