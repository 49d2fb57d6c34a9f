// The mean squared difference of two networks' cosine maps (prototypes.wgsl, cosineMaps.wgsl), over the
// classes that every sample has, for at most four classes and 16 channels. s is the student's map and t the
// teacher's, f and P the student's features and prototypes, m = max(‖f‖ ‖P‖, eps), and s' is s where
// ‖f‖ ‖P‖ ≥ eps, else 0:
//   w_k = 1 / (N·V·Σ_j [every sample has j]) where every sample has k, else 0
//   y = Σ_{n,k,v} w e²  with e = s - t
//   dP = 2 w (Σ_v e f / m - P / ‖P‖² Σ_v e s')
//   df = dy (Σ_k 2 w e (P / m - s' f / ‖f‖²) + dP_label / (counts_label + eps))
// dP is linear in dy: the pass that computes s sums it, so that the backward pass has all terms of df.
//
// A voxel's classes are the elements of a vector, 0 for absent ones. An invocation holds the prototypes.
//
// partial: a workgroup sums CHUNK voxels of one sample, in a fixed order, and turns t into e.
// loss: one workgroup adds the partials of e². combine: a workgroup adds those of one channel.
// backward: a workgroup takes CHUNK voxels of one sample.

alias real = f32;

override WG: u32 = 64;
override channels: u32;     // F
override classes: u32;      // K

const CHUNK = 4096u;
const MOST = 16u;           // channels

struct Params {
  voxels: u32,              // V
  eps: f32,
}

@group(0) @binding(0) var<storage, read> features: array<real>;          // [N,F,V]
@group(0) @binding(1) var<storage, read> label: array<f32>;              // [N,V]
@group(0) @binding(2) var<storage, read> prototypes: array<f32>;         // [N,K,F]
@group(0) @binding(3) var<storage, read> counts: array<f32>;             // [N,K]
@group(0) @binding(4) var<storage, read_write> maps: array<f32>;         // [N,K,V]: t, then e
@group(0) @binding(5) var<storage, read_write> sums: array<vec4f>; // [N,F+2,chunks]: Σ e f / m, Σ e s', Σ e²
@group(0) @binding(6) var<storage, read_write> weight: array<vec4f>;     // w
@group(0) @binding(7) var<storage, read_write> y: array<f32>;
@group(0) @binding(8) var<storage, read_write> pulls: array<vec4f>;      // dP / (counts + eps) [N,F]
@group(0) @binding(9) var<storage, read> dy: array<f32>;
@group(0) @binding(10) var<storage, read_write> dfeatures: array<real>;
@group(0) @binding(11) var<uniform> params: Params;

var<workgroup> tree: array<array<vec4f, 4>, WG>;

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let n = group.y;
  let voxels = params.voxels;
  var P: array<vec4f, MOST>;
  for (var f = 0u; f < channels; f++) { P[f] = prototypesAt(n, f); }
  var square = vec4f();
  for (var f = 0u; f < channels; f++) { square += P[f] * P[f]; }
  let lengths = sqrt(square);

  var pull: array<vec4f, MOST>;
  var along = vec4f();
  var squares = vec4f();
  let run = runOf(group.x, thread);
  for (var v = run.x; v < run.y; v += 8u) {
    var x: array<f32, MOST>;
    for (var f = 0u; f < channels; f++) { x[f] = f32(features[(n * channels + f) * voxels + v]); }
    var square = 0.0;
    var product = vec4f();
    for (var f = 0u; f < channels; f++) {
      square += x[f] * x[f];
      product += x[f] * P[f];
    }
    let both = sqrt(square) * lengths;
    let larger = max(both, vec4f(params.eps));
    let s = product / larger;
    var e = vec4f();
    for (var k = 0u; k < classes; k++) {
      let at = (n * classes + k) * voxels + v;
      e[k] = s[k] - maps[at];
      maps[at] = e[k];
    }
    let slope = e / larger;
    for (var f = 0u; f < channels; f++) { pull[f] += slope * x[f]; }
    along += e * select(vec4f(), s, both >= vec4f(params.eps));
    squares += e * e;
  }

  let row = n * (channels + 2u);
  for (var f = 0u; f < channels; f += 4u) {
    let total = reduce(thread, mat4x4f(pull[f], pull[f + 1u], pull[f + 2u], pull[f + 3u]));
    if (thread < 4u && f + thread < channels) { sums[(row + f + thread) * groups.x + group.x] = total; }
  }
  let total = reduce(thread, mat4x4f(along, squares, vec4f(), vec4f()));
  if (thread < 2u) { sums[(row + channels + thread) * groups.x + group.x] = total; }
}

@compute @workgroup_size(WG)
fn loss(@builtin(local_invocation_index) thread: u32) {
  let samples = arrayLength(&counts) / classes;
  let chunks = arrayLength(&sums) / (samples * (channels + 2u));
  var counted = vec4f();
  for (var k = 0u; k < classes; k++) {
    var every = true;
    for (var n = 0u; n < samples; n++) { every = every && counts[n * classes + k] > 0.0; }
    counted[k] = f32(every);
  }
  let used = dot(counted, vec4f(1.0));
  let w = counted / (f32(samples * params.voxels) * max(used, 1.0));

  var sum = vec4f();
  for (var n = 0u; n < samples; n++) {
    let row = n * (channels + 2u) + channels + 1u;
    for (var i = thread; i < chunks; i += WG) { sum += sums[row * chunks + i]; }
  }
  let total = reduce(thread, mat4x4f(sum, vec4f(), vec4f(), vec4f()));
  if (thread != 0u) { return; }
  weight[0] = w;
  y[0] = dot(w, total);
}

@compute @workgroup_size(WG)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let n = group.y;
  let f = group.x;
  let chunks = (params.voxels + CHUNK - 1u) / CHUNK;
  let row = n * (channels + 2u);
  var sum = mat4x4f();
  for (var i = thread; i < chunks; i += WG) {
    sum += mat4x4f(sums[(row + f) * chunks + i], sums[(row + channels) * chunks + i], vec4f(), vec4f());
  }
  let total = reduce(thread, sum);
  if (thread < 2u) { tree[0][thread] = total; }
  workgroupBarrier();
  if (thread != 0u) { return; }
  let features = arrayLength(&pulls) / (arrayLength(&counts) / classes);
  var square = vec4f();
  for (var c = 0u; c < features; c++) {
    let P = prototypesAt(n, c);
    square += P * P;
  }
  let dP = tree[0][0] - prototypesAt(n, f) / max(square, vec4f(1e-30)) * tree[0][1]; // P may be 0
  var count = vec4f();
  for (var k = 0u; k < classes; k++) { count[k] = counts[n * classes + k]; }
  pulls[n * channels + f] = 2.0 * weight[0] * dP / (count + params.eps);
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let n = group.y;
  let voxels = params.voxels;
  var P: array<vec4f, MOST>;
  var fromClass: array<vec4f, MOST>;
  for (var f = 0u; f < channels; f++) {
    P[f] = prototypesAt(n, f);
    fromClass[f] = dy[0] * pulls[n * channels + f];
  }
  var square = vec4f();
  for (var f = 0u; f < channels; f++) { square += P[f] * P[f]; }
  let lengths = sqrt(square);
  let factor = 2.0 * dy[0] * weight[0];

  let run = runOf(group.x, thread);
  for (var v = run.x; v < run.y; v += 8u) {
    let own = vec4f(vec4u(u32(label[n * voxels + v])) == vec4u(0u, 1u, 2u, 3u));
    var e = vec4f();
    for (var k = 0u; k < classes; k++) { e[k] = maps[(n * classes + k) * voxels + v]; }
    var x: array<f32, MOST>;
    for (var f = 0u; f < channels; f++) { x[f] = f32(features[(n * channels + f) * voxels + v]); }
    var square = 0.0;
    var product = vec4f();
    for (var f = 0u; f < channels; f++) {
      square += x[f] * x[f];
      product += x[f] * P[f];
    }
    let length = sqrt(square);
    let both = length * lengths;
    let larger = max(both, vec4f(params.eps));
    let ds = factor * e;
    let slope = ds / larger;
    var inward = dot(ds, select(vec4f(), product / larger, both >= vec4f(params.eps)));
    inward = select(0.0, inward / (length * length), inward != 0.0);
    for (var f = 0u; f < channels; f++) {
      let gradient = dot(slope, P[f]) + dot(own, fromClass[f]) - inward * x[f];
      dfeatures[(n * channels + f) * voxels + v] = real(gradient);
    }
  }
}

fn prototypesAt(n: u32, f: u32) -> vec4f {
  var value = vec4f();
  for (var k = 0u; k < classes; k++) { value[k] = prototypes[(n * classes + k) * channels + f]; }
  return value;
}

// The first voxel of an invocation and the end of its run. Eight invocations share a run, each with every
// eighth voxel: drivers of eight lanes and caches read in order, others whole sectors of 32 bytes.
fn runOf(chunk: u32, thread: u32) -> vec2u {
  let length = 8u * CHUNK / WG;
  let begin = chunk * CHUNK + thread / 8u * length;
  return vec2u(begin + thread % 8u, min(begin + length, params.voxels));
}

// Column `thread` of the sum of `value` over the workgroup, for the first four invocations: of every
// sixteenth invocation, then of those sixteen. The loops' starts vary to keep drivers on the CPU from
// unrolling them, which would make compiling even longer.
fn reduce(thread: u32, value: mat4x4f) -> vec4f {
  let column = thread % 4u;
  let begin = thread / 4u;
  workgroupBarrier();       // the sum before this one has been read
  tree[thread] = array(value[0], value[1], value[2], value[3]);
  workgroupBarrier();
  var sum = vec4f();
  for (var i = begin; i < WG; i += WG / 4u) { sum += tree[i][column]; }
  workgroupBarrier();
  tree[begin][column] = sum;
  workgroupBarrier();
  sum = vec4f();
  for (var i = begin; i < WG / 4u; i++) { sum += tree[i][column]; }
  return sum;
}
