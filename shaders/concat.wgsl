// The channels of a, then those of b.   a [N,A,V], b [N,B,V] → y [N,A+B,V]
//   y[n,r] = a[n,r] for r < A·V, else b[n,r - A·V]       r runs over a sample's channels and voxels
//   da[n,r] = dy[n,r]        db[n,r] = dy[n,r + A·V]

override WG: u32 = 64;

struct Params {
  rowA: u32,                // A·V
  rowB: u32,                // B·V
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> da: array<f32>;
@group(0) @binding(5) var<storage, read_write> db: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  let n = i / (params.rowA + params.rowB);
  let r = i % (params.rowA + params.rowB);
  if (r < params.rowA) {
    y[i] = a[n * params.rowA + r];
  } else {
    y[i] = b[n * params.rowB + r - params.rowA];
  }
}

@compute @workgroup_size(WG)
fn backwardA(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&da)) { return; }
  da[i] = dy[i / params.rowA * (params.rowA + params.rowB) + i % params.rowA];
}

@compute @workgroup_size(WG)
fn backwardB(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&db)) { return; }
  db[i] = dy[i / params.rowB * (params.rowA + params.rowB) + params.rowA + i % params.rowB];
}
