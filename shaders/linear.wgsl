// Products of matrices, for y = x · weightᵀ + bias and its gradients.
//   x [N,I], weight [O,I], bias [O] → y [N,O]
//   product: y[m,n] = scale · Σ_k a[m,k] · b[k,n]; the strides of a and b make it
//     y = x · weightᵀ        dx = dy · weight        dweight = dyᵀ · x
//   addBias: y[n,o] = sum[n,o] + bias[o]        backwardBias: dbias[o] = Σ_n dy[n,o]
//
// product, backwardBias: a workgroup computes one element, in a fixed order.

override WG: u32 = 64;      // a power of two

struct Params {
  inner: u32,               // the number of k
  columns: u32,             // of y
  strideM: u32,             // of a along m
  strideA: u32,             // of a along k
  strideB: u32,             // of b along k
  strideN: u32,             // of b along n
  scale: f32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> sum: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn product(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = group.x + group.y * groups.x;
  let startA = i / params.columns * params.strideM;
  let startB = i % params.columns * params.strideN;
  var part = 0.0;
  if (i < arrayLength(&y)) {
    for (var k = thread; k < params.inner; k += WG) {
      part += a[startA + k * params.strideA] * b[startB + k * params.strideB];
    }
  }
  let total = reduce(thread, part);
  if (thread == 0u && i < arrayLength(&y)) { y[i] = params.scale * total; }
}

@compute @workgroup_size(WG)
fn addBias(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  y[i] = sum[i] + bias[i % arrayLength(&bias)];
}

@compute @workgroup_size(WG)
fn backwardBias(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let outputs = arrayLength(&dbias);
  var part = 0.0;
  for (var i = group.x + thread * outputs; i < arrayLength(&dy); i += WG * outputs) { part += dy[i]; }
  let total = reduce(thread, part);
  if (thread == 0u) { dbias[group.x] = total; }
}

// The sum of `value` over the workgroup, for thread 0.
fn reduce(thread: u32, value: f32) -> f32 {
  tree[thread] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] += tree[thread + half]; }
  }
  return tree[0];
}
