// The distance of a correlation matrix from the identity.   C [D,D] → y
//   y = Σ_i (1 - C_ii)² + λ Σ_{i≠j} C_ij²
//   dC_ij = dy · 2 (C_ij - 1) for i = j, else dy · 2 λ C_ij
//
// partial: a workgroup sums CHUNK elements, in a fixed order.
// combine: one workgroup adds the partials in order.

override WG: u32 = 64;      // a power of two

const CHUNK = 4096u;

struct Params {
  width: u32,               // D
  lambda: f32,
}

@group(0) @binding(0) var<storage, read> correlation: array<f32>;        // [D,D]
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;         // [chunks]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dcorrelation: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let chunk = group.x + group.y * groups.x;
  let end = min((chunk + 1u) * CHUNK, arrayLength(&correlation));
  var sum = 0.0;
  for (var i = chunk * CHUNK + thread; i < end; i += WG) {
    let difference = correlation[i] - f32(onDiagonal(i));
    sum += weight(i) * difference * difference;
  }
  let total = reduce(thread, sum);
  if (thread == 0u && chunk < arrayLength(&sums)) { sums[chunk] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < arrayLength(&sums); i += WG) { sum += sums[i]; }
  let total = reduce(thread, sum);
  if (thread == 0u) { y[0] = total; }
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dcorrelation)) { return; }
  dcorrelation[i] = dy[0] * 2.0 * weight(i) * (correlation[i] - f32(onDiagonal(i)));
}

fn onDiagonal(i: u32) -> bool { return i / params.width == i % params.width; }

fn weight(i: u32) -> f32 { return select(params.lambda, 1.0, onDiagonal(i)); }

// The sum of `value` over the workgroup, for thread 0.
fn reduce(thread: u32, value: f32) -> f32 {
  tree[thread] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { tree[thread] += tree[thread + half]; }
  }
  return tree[0];
}
