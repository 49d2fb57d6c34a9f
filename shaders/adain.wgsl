// Features with the mean and the standard deviation of others.   x [N·C,V], wanted [N·C] → y [N·C,V]
//   x̂[r,v] = (x[r,v] - mean[r]) / √(variance[r] + eps), of x itself: instanceNorm.wgsl computes them
//   y[r,v] = wanted[r].std · x̂[r,v] + wanted[r].mean
//   dwanted[r] = (Σ_v dy[r,v], Σ_v dy[r,v] · x̂[r,v])
//
// forward, partial: a workgroup (chunk, row) takes CHUNK voxels.
// combine: a workgroup adds the partial sums of a row, in order.

alias real = f32;

override WG: u32 = 64;      // a power of two

const CHUNK = 4096u;

struct Statistics {
  shift: f32,
  mean: f32,                // of x - shift
  variance: f32,
  rstd: f32,                // 1/√(variance + eps)
}

struct Params {
  voxels: u32,              // V
  chunks: u32,              // of a row
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> statistics: array<Statistics>;  // [N·C]
@group(0) @binding(2) var<storage, read> wanted: array<vec2f>;           // (mean, std)
@group(0) @binding(3) var<storage, read_write> y: array<real>;
@group(0) @binding(4) var<storage, read> dy: array<real>;
@group(0) @binding(5) var<storage, read_write> sums: array<vec2f>;       // [N·C,chunks]
@group(0) @binding(6) var<storage, read_write> dwanted: array<vec2f>;
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> tree: array<vec2f, WG>;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let s = statistics[group.y];
  let want = wanted[group.y];
  let end = min((group.x + 1u) * CHUNK, params.voxels);
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let i = group.y * params.voxels + v;
    y[i] = real(fma((f32(x[i]) - s.shift - s.mean) * s.rstd, want.y, want.x));
  }
}

@compute @workgroup_size(WG)
fn partial(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let s = statistics[group.y];
  let end = min((group.x + 1u) * CHUNK, params.voxels);
  var sum = vec2f();
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let i = group.y * params.voxels + v;
    sum += f32(dy[i]) * vec2f(1.0, (f32(x[i]) - s.shift - s.mean) * s.rstd);
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[group.y * params.chunks + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  var sum = vec2f();
  for (var i = thread; i < params.chunks; i += WG) { sum += sums[group.x * params.chunks + i]; }
  let total = reduce(thread, sum);
  if (thread == 0u) { dwanted[group.x] = total; }
}

// The sum of `value` over the workgroup, for thread 0.
fn reduce(thread: u32, value: vec2f) -> vec2f {
  tree[thread] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] += tree[thread + half]; }
  }
  return tree[0];
}
