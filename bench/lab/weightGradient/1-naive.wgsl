// The gradient of a 3³ weight at stride 1: an invocation sums one element over the whole volume.
//   dweight[o,c,k] = Σ_{n,p} dy[n,o,p] · x[n,c, p + k - 1]

alias real = f32;

override WG: u32 = 64u;

struct Params {
  size: vec3u,              // D, H, W
  inputs: u32,              // C
  outputs: u32,             // O
  batch: u32,               // N
  first: u32,               // first invocation
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> dy: array<real>;
@group(0) @binding(2) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn backwardWeight(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = params.size;
  let at = params.first + id.x + id.y * groups.x * WG;
  if (at >= arrayLength(&dweight)) { return; }
  let tap = vec3u(at / 9u % 3u, at / 3u % 3u, at % 3u);
  let c = at / 27u % params.inputs;
  let o = at / 27u / params.inputs;

  var sum = 0.0;
  for (var n = 0u; n < params.batch; n++) {
    for (var z = 0u; z < size.x; z++) {
      for (var y = 0u; y < size.y; y++) {
        let p = vec2u(z, y) + tap.xy - 1u;               // below zero it wraps and fails the bounds check
        if (any(p >= size.xy)) { continue; }
        let line = (((n * params.inputs + c) * size.x + p.x) * size.y + p.y) * size.z;
        let grad = (((n * params.outputs + o) * size.x + z) * size.y + y) * size.z;
        var row = 0.0;                                   // shorter sums round less
        for (var qx = 0u; qx < size.z; qx++) {
          let px = qx + tap.z - 1u;
          if (px < size.z) { row += f32(dy[grad + qx]) * f32(x[line + px]); }
        }
        sum += row;
      }
    }
  }
  dweight[at] = sum;
}
