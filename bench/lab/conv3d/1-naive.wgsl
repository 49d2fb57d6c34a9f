// 3³ at stride 1: an invocation computes one element. Each multiply-add takes two loads.
//   y [n,o,p] = Σ_{c,k} weight[o,c,k] · x[n,c, p + k - 1]

alias real = f32;

override WG: u32 = 64u;

struct Params {
  size: vec3u,              // D, H, W
  inputs: u32,              // C
  outputs: u32,             // O
  first: u32,               // first invocation
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<real>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = params.size;
  let at = params.first + id.x + id.y * groups.x * WG;
  if (at >= arrayLength(&y)) { return; }
  var i = at;
  let qx = i % size.z;          i /= size.z;
  let qy = i % size.y;          i /= size.y;
  let qz = i % size.x;          i /= size.x;
  let o = i % params.outputs;
  let n = i / params.outputs;

  var sum = 0.0;
  for (var c = 0u; c < params.inputs; c++) {
    for (var kz = 0u; kz < 3u; kz++) {
      for (var ky = 0u; ky < 3u; ky++) {
        for (var kx = 0u; kx < 3u; kx++) {
          let p = vec3u(qz + kz, qy + ky, qx + kx) - 1u; // below zero it wraps and fails the bounds check
          if (any(p >= size)) { continue; }
          let voxel = f32(x[(((n * params.inputs + c) * size.x + p.x) * size.y + p.y) * size.z + p.z]);
          sum += weight[(((o * params.inputs + c) * 3u + kz) * 3u + ky) * 3u + kx] * voxel;
        }
      }
    }
  }
  y[at] = real(sum);
}
