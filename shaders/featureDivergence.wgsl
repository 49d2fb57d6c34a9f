// The divergence of a student's features from a teacher's, all M elements of a sample as one distribution.
// p = softmax(student), q = softmax(teacher), over the M elements of each sample
// y = (1/N) Σ_{n,i} q (log q - log p)
//   dstudent[n,i] = dy / N · (p - q)
//
// With r = log p - log q a sample's sum is that of q (eʳ - 1 - r), as Σ p = Σ q = 1: no term is negative, and
// small divergences are not differences of large numbers.
//
// parts: a workgroup sums the exponentials of a chunk, in a fixed order.
// softmax: a workgroup merges the parts of a sample.
// partial: a workgroup sums the divergence of a chunk. combine: one workgroup adds the partials.
// backward: an invocation takes one element.

alias real = f32;

override WG: u32 = 64;      // a power of two

const CHUNK = 4096u;        // elements of a sample
const LEAST = -3.4e38;      // no element is lower

struct Params { elements: u32 }                                          // M

@group(0) @binding(0) var<storage, read> student: array<real>;           // [N,M]
@group(0) @binding(1) var<storage, read> teacher: array<real>;           // [N,M]
@group(0) @binding(2) var<storage, read_write> pieces: array<Softmax>;   // [N,chunks]
@group(0) @binding(3) var<storage, read_write> softmaxes: array<Softmax>; // [N]
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;         // [N,chunks]
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read> dy: array<f32>;
@group(0) @binding(7) var<storage, read_write> dstudent: array<real>;    // [N,M]
@group(0) @binding(8) var<uniform> params: Params;

// The largest element, and Σ exp(element - largest): the student's in x, the teacher's in y.
struct Softmax { largest: vec2f, sum: vec2f }

var<workgroup> merged: array<Softmax, WG>;
var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn parts(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let run = runOf(group, thread);
  var softmax = Softmax(vec2f(LEAST), vec2f());
  for (var i = run.x; i < run.y; i += WG) { softmax.largest = max(softmax.largest, elementsAt(i)); }
  for (var i = run.x; i < run.y; i += WG) { softmax.sum += exp(elementsAt(i) - softmax.largest); }
  let all = mergeAll(thread, softmax);
  if (thread == 0u) { pieces[group.y * groups.x + group.x] = all; }
}

@compute @workgroup_size(WG)
fn softmax(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let count = arrayLength(&pieces) / arrayLength(&softmaxes);
  var softmax = Softmax(vec2f(LEAST), vec2f());
  for (var i = thread; i < count; i += WG) { softmax = merge(softmax, pieces[group.x * count + i]); }
  let all = mergeAll(thread, softmax);
  if (thread == 0u) { softmaxes[group.x] = all; }
}

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let softmax = softmaxes[group.y];
  let shift = log(softmax.sum.y / softmax.sum.x);
  let run = runOf(group, thread);
  var sum = 0.0;
  for (var i = run.x; i < run.y; i += WG) {
    let powers = elementsAt(i) - softmax.largest;
    sum += beyondLine(exp(powers) / softmax.sum, powers.x - powers.y + shift);
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[group.y * groups.x + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < arrayLength(&sums); i += WG) { sum += sums[i]; }
  let total = reduce(thread, sum);
  if (thread == 0u) { y[0] = total / f32(arrayLength(&softmaxes)); }
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dstudent)) { return; }
  let softmax = softmaxes[i / params.elements];
  let pq = exp(elementsAt(i) - softmax.largest) / softmax.sum;
  dstudent[i] = real(dy[0] / f32(arrayLength(&softmaxes)) * (pq.x - pq.y));
}

fn elementsAt(i: u32) -> vec2f { return vec2f(f32(student[i]), f32(teacher[i])); }

// The first element of an invocation, which takes every WG-th one, and the end of its chunk.
fn runOf(group: vec3u, thread: u32) -> vec2u {
  let start = group.y * params.elements;
  let end = min((group.x + 1u) * CHUNK, params.elements);
  return vec2u(start + group.x * CHUNK + thread, start + end);
}

// p - q - q r = q (eʳ - 1 - r) for p = q eʳ: by a series where the terms of the first form cancel. eʳ itself
// may overflow where q is 0.
fn beyondLine(pq: vec2f, r: f32) -> f32 {
  if (abs(r) > 0.5) { return pq.x - pq.y - pq.y * r; }
  let tail = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r / 5040.0));
  return pq.y * r * r * (1.0 / 2.0 + r * (1.0 / 6.0 + r * tail));
}

fn merge(a: Softmax, b: Softmax) -> Softmax {
  let largest = max(a.largest, b.largest);
  return Softmax(largest, a.sum * exp(a.largest - largest) + b.sum * exp(b.largest - largest));
}

// The softmaxes of the workgroup, merged, for thread 0.
fn mergeAll(thread: u32, softmax: Softmax) -> Softmax {
  merged[thread] = softmax;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { merged[thread] = merge(merged[thread], merged[thread + half]); }
  }
  return merged[0];
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
