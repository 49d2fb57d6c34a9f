// y[n,k,v] = <f, P> / max(‖f‖ ‖P‖, eps)  with f = features[n,:,v], P = prototypes[n,k,:]
// With m = max(‖f‖ ‖P‖, eps) and s = y where ‖f‖ ‖P‖ ≥ eps, else 0:
//   df = Σ_k dy (P / m - s f / ‖f‖²)
//   dP = Σ_v dy (f / m - s P / ‖P‖²)
// A zero vector has cosine 0 and, by the first term alone, a gradient of up to ‖P‖ / eps.
//
// lengths: an invocation computes ‖P‖ of one prototype.
// forward: a workgroup takes CHUNK voxels of one sample and four classes, and holds their prototypes.
// backwardFeatures: an invocation takes one voxel, four classes at a time.
// partial: a workgroup sums dy f / m over CHUNK voxels for one channel and four classes, in a fixed order;
//   the row after the last channel sums dy s.
// combine: a workgroup adds the partials of a row, and subtracts those of dy s times P / ‖P‖².

alias real = f32;

override WG: u32 = 64;
override held: u32 = 0;     // F where an invocation holds the prototypes, else 0

const CHUNK = 4096u;
const MOST = 32u;           // held channels

struct Params {
  batch: u32,               // N
  channels: u32,            // F
  classes: u32,             // K
  voxels: u32,              // V
  eps: f32,
}

@group(0) @binding(0) var<storage, read> features: array<real>;           // [N,F,V]
@group(0) @binding(1) var<storage, read> prototypes: array<f32>;         // [N,K,F]
@group(0) @binding(2) var<storage, read_write> featureLength: array<f32>;   // ‖f‖ [N,V]
@group(0) @binding(3) var<storage, read_write> prototypeLength: array<f32>; // ‖P‖ [N,K]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;            // [N,K,V]
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dfeatures: array<real>;
@group(0) @binding(7) var<storage, read_write> sums: array<vec4f>;       // [K/4,N·(F+1),chunks]
@group(0) @binding(8) var<storage, read_write> dprototypes: array<f32>;
@group(0) @binding(9) var<uniform> params: Params;

var<workgroup> tree: array<vec4f, WG>;

@compute @workgroup_size(WG)
fn lengths(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&prototypeLength)) { return; }
  var sum = 0.0;
  for (var f = 0u; f < params.channels; f++) {
    let value = prototypes[i * params.channels + f];
    sum += value * value;
  }
  prototypeLength[i] = sqrt(sum);
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let n = group.y;
  let k = 4u * group.z;
  let voxels = params.voxels;
  let lengthsHere = prototypeLengths(n, k);
  var P: array<vec4f, MOST>;
  for (var f = 0u; f < held; f++) { P[f] = prototypesAt(n, k, f); }
  let run = runOf(group.x, thread);
  for (var v = run.x; v < run.y; v += 8u) {
    let at = n * params.channels * voxels + v;
    var square = 0.0;
    var product = vec4f();
    for (var f = 0u; f < held; f++) {
      let value = f32(features[at + f * voxels]);
      square += value * value;
      product += value * P[f];
    }
    for (var f = held; f < params.channels; f++) {
      let value = f32(features[at + f * voxels]);
      square += value * value;
      product += value * prototypesAt(n, k, f);
    }
    if (k == 0u) { featureLength[n * voxels + v] = sqrt(square); }
    let cosine = product / max(sqrt(square) * lengthsHere, vec4f(params.eps));
    for (var j = 0u; j < min(4u, params.classes - k); j++) { y[mapAt(n, k + j, v)] = cosine[j]; }
  }
}

@compute @workgroup_size(WG)
fn backwardFeatures(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&featureLength)) { return; }
  let n = i / params.voxels;
  let v = i % params.voxels;
  for (var k = 0u; k < params.classes; k += 4u) {
    let product = featureLength[i] * prototypeLengths(n, k);
    let pull = dyAt(n, k, v) / max(product, vec4f(params.eps));
    var inward = dot(dyAt(n, k, v), freeCosines(n, k, v, product));
    inward = select(0.0, inward / (featureLength[i] * featureLength[i]), inward != 0.0);
    for (var f = 0u; f < params.channels; f++) {
      let at = (n * params.channels + f) * params.voxels + v;
      let gradient = dot(pull, prototypesAt(n, k, f)) - inward * f32(features[at]);
      dfeatures[at] = real(gradient + select(f32(dfeatures[at]), 0.0, k == 0u));
    }
  }
}

@compute @workgroup_size(WG)
fn partial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let n = group.y / (params.channels + 1u);
  let f = group.y % (params.channels + 1u);
  let k = 4u * group.z;
  let lengthsHere = prototypeLengths(n, k);
  let end = min((group.x + 1u) * CHUNK, params.voxels);
  var sum = vec4f();
  for (var v = group.x * CHUNK + thread; v < end; v += WG) {
    let product = featureLength[n * params.voxels + v] * lengthsHere;
    if (f == params.channels) {
      sum += dyAt(n, k, v) * freeCosines(n, k, v, product);
    } else {
      let value = f32(features[(n * params.channels + f) * params.voxels + v]);
      sum += dyAt(n, k, v) * value / max(product, vec4f(params.eps));
    }
  }
  let total = reduce(thread, sum);
  if (thread == 0u) { sums[(group.z * groups.y + group.y) * groups.x + group.x] = total; }
}

@compute @workgroup_size(WG)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let n = group.x / params.channels;
  let f = group.x % params.channels;
  let chunks = (params.voxels + CHUNK - 1u) / CHUNK;
  let rows = (group.y * params.batch + n) * (params.channels + 1u);
  let k = 4u * group.y;
  let length = prototypeLengths(n, k);
  let inward = prototypesAt(n, k, f) / max(length * length, vec4f(1e-30)); // P may be 0
  var sum = vec4f();
  for (var i = thread; i < chunks; i += WG) {
    sum += sums[(rows + f) * chunks + i] - inward * sums[(rows + params.channels) * chunks + i];
  }
  let total = reduce(thread, sum);
  if (thread >= 4u || k + thread >= params.classes) { return; }
  dprototypes[(n * params.classes + k + thread) * params.channels + f] = total[thread];
}

// Channel f of the prototypes of classes k … k+3; 0 beyond the last class.
fn prototypesAt(n: u32, k: u32, f: u32) -> vec4f {
  var value = vec4f();
  for (var j = 0u; j < min(4u, params.classes - k); j++) {
    value[j] = prototypes[(n * params.classes + k + j) * params.channels + f];
  }
  return value;
}

fn prototypeLengths(n: u32, k: u32) -> vec4f {
  var value = vec4f();
  for (var j = 0u; j < min(4u, params.classes - k); j++) {
    value[j] = prototypeLength[n * params.classes + k + j];
  }
  return value;
}

fn dyAt(n: u32, k: u32, v: u32) -> vec4f {
  var value = vec4f();
  for (var j = 0u; j < min(4u, params.classes - k); j++) { value[j] = dy[mapAt(n, k + j, v)]; }
  return value;
}

// The cosines of classes k … k+3 where the product of lengths is at least eps, else 0.
fn freeCosines(n: u32, k: u32, v: u32, product: vec4f) -> vec4f {
  var value = vec4f();
  for (var j = 0u; j < min(4u, params.classes - k); j++) { value[j] = y[mapAt(n, k + j, v)]; }
  return select(vec4f(), value, product >= vec4f(params.eps));
}

fn mapAt(n: u32, k: u32, v: u32) -> u32 { return (n * params.classes + k) * params.voxels + v; }

// The first voxel of an invocation and the end of its run. Eight invocations share a run, each with every
// eighth voxel: drivers of eight lanes and caches read in order, others whole sectors of 32 bytes.
fn runOf(chunk: u32, thread: u32) -> vec2u {
  let length = 8u * CHUNK / WG;
  let begin = chunk * CHUNK + thread / 8u * length;
  return vec2u(begin + thread % 8u, min(begin + length, params.voxels));
}

// The sum over the workgroup: of every eighth invocation, then of those eight. WG is a multiple of 8.
fn reduce(thread: u32, value: vec4f) -> vec4f {
  tree[thread] = value;
  workgroupBarrier();
  if (thread < 8u) {
    for (var i = thread + 8u; i < WG; i += 8u) { tree[thread] += tree[i]; }
  }
  workgroupBarrier();
  var sum = tree[0];
  for (var i = 1u; i < 8u; i++) { sum += tree[i]; }
  return sum;
}
