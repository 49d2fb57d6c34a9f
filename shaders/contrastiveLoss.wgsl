// Rows of one index are drawn together, all others are pushed apart up to a margin m.   a, b [N,D] → y
//   d_ij = ‖a_i - b_j‖        y = 1/N² (Σ_i d_ii² + Σ_{i≠j} max(0, m - d_ij)²)
//   da_i = dy · 2/N² Σ_j s_ij (a_i - b_j)
//   s_ii = 1, else s_ij = (d_ij - m) / d_ij for 0 < d_ij < m, else 0
//   db_j the same with a and b exchanged
//
// compare: a workgroup takes one pair, in a fixed order. combine: one workgroup adds the pairs in order.
// backward: an invocation takes one element.

override WG: u32 = 64;      // a power of two

struct Params {
  rows: u32,                // N
  width: u32,               // D
  margin: f32,              // m
  strideA: u32,             // of `squares` along the rows of a
  strideB: u32,             // and along those of b
}

@group(0) @binding(0) var<storage, read> a: array<f32>;                  // [N,D]
@group(0) @binding(1) var<storage, read> b: array<f32>;                  // [N,D]
@group(0) @binding(2) var<storage, read_write> squares: array<f32>;      // d² [N,N]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> da: array<f32>;           // [N,D]
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn compare(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let pair = group.x + group.y * groups.x;
  let startA = pair / params.rows * params.width;
  let startB = pair % params.rows * params.width;
  var sum = 0.0;
  if (pair < arrayLength(&squares)) {
    for (var d = thread; d < params.width; d += WG) {
      let difference = a[startA + d] - b[startB + d];
      sum += difference * difference;
    }
  }
  let total = reduce(thread, sum);
  if (thread == 0u && pair < arrayLength(&squares)) { squares[pair] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var pair = thread; pair < arrayLength(&squares); pair += WG) {
    let short = max(0.0, params.margin - sqrt(squares[pair]));
    sum += select(short * short, squares[pair], pair / params.rows == pair % params.rows);
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { y[0] = total / f32(arrayLength(&squares)); }
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&da)) { return; }
  let row = i / params.width;
  var sum = 0.0;
  for (var other = 0u; other < params.rows; other++) {
    let square = squares[row * params.strideA + other * params.strideB];
    sum += slope(square, row == other) * (a[i] - b[other * params.width + i % params.width]);
  }
  da[i] = dy[0] * 2.0 / f32(arrayLength(&squares)) * sum;
}

fn slope(square: f32, same: bool) -> f32 {
  if (same) { return 1.0; }
  let distance = sqrt(square);
  if (distance == 0.0 || distance >= params.margin) { return 0.0; }
  return 1.0 - params.margin / distance;
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
