// y[n,v] = the class c of the largest logits[n,c,v], the first of equals
//
// forward: an invocation takes one voxel.

override WG: u32 = 64;

struct Params {
  classes: u32,             // C
  voxels: u32,              // V, of a sample
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;             // [N,C,V]
@group(0) @binding(1) var<storage, read_write> y: array<f32>;            // [N,V]
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  let voxels = params.voxels;
  let at = i / voxels * params.classes * voxels + i % voxels;
  var best = 0u;
  var largest = logits[at];
  for (var c = 1u; c < params.classes; c++) {
    let value = logits[at + c * voxels];
    if (value > largest) {
      largest = value;
      best = c;
    }
  }
  y[i] = f32(best);
}
