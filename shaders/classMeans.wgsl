// The mean of x over all voxels of a class in the whole batch.   x [N,F,V], label [N,V] → y [K,F]
//   scale[k] = 1 / (Σ_n counts[n,k] + eps)
//   y[k,f] = scale[k] · Σ_{n,v} [label_nv = k] x[n,f,v]
//   dx[n,f,v] = scale[k] · dy[k,f]  with k = label_nv
//
// prototypes.wgsl computes the partial sums.
// combine: a workgroup adds those of one channel and four classes, in order.
// backward: a workgroup takes CHUNK voxels of one row (n,f).

alias real = f32;

override WG: u32 = 64;      // a power of two

const CHUNK = 4096u;

struct Params {
  batch: u32,               // N
  channels: u32,            // F
  classes: u32,             // K
  voxels: u32,              // V
  chunks: u32,              // partial sums of a row of V voxels
  eps: f32,
}

@group(0) @binding(0) var<storage, read> counts: array<f32>;             // [N,K]
@group(0) @binding(1) var<storage, read_write> scale: array<f32>;        // [K]
@group(0) @binding(2) var<storage, read> sums: array<vec4f>;             // [K/4,N·F,chunks] of four classes
@group(0) @binding(3) var<storage, read_write> y: array<f32>;            // [K,F]
@group(0) @binding(4) var<storage, read> label: array<f32>;              // [N,V]
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<real>;
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> tree: array<vec4f, WG>;

@compute @workgroup_size(WG)
fn scales(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.classes) { return; }
  var count = 0.0;
  for (var n = 0u; n < params.batch; n++) { count += counts[n * params.classes + id.x]; }
  scale[id.x] = 1.0 / (count + params.eps);
}

@compute @workgroup_size(WG)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  var sum = vec4f();
  for (var i = thread; i < params.batch * params.chunks; i += WG) {
    let row = (group.y * params.batch + i / params.chunks) * params.channels + group.x;
    sum += sums[row * params.chunks + i % params.chunks];
  }
  tree[thread] = sum;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] += tree[thread + half]; }
  }
  workgroupBarrier();
  let k = 4u * group.y + thread;
  if (thread >= 4u || k >= params.classes) { return; }
  y[k * params.channels + group.x] = scale[k] * tree[0][thread];
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let n = group.y / params.channels;
  let f = group.y % params.channels;
  let run = runOf(group.x, thread);
  for (var v = run.x; v < run.y; v += 8u) {
    let k = u32(label[n * params.voxels + v]);
    dx[group.y * params.voxels + v] = real(scale[k] * dy[k * params.channels + f]);
  }
}

// The first voxel of an invocation and the end of its run. Eight invocations share a run, each with every
// eighth voxel: drivers of eight lanes and caches read in order, others whole sectors of 32 bytes.
fn runOf(chunk: u32, thread: u32) -> vec2u {
  let length = 8u * CHUNK / WG;
  let begin = chunk * CHUNK + thread / 8u * length;
  return vec2u(begin + thread % 8u, min(begin + length, params.voxels));
}
