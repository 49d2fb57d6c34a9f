// Logits of regions that are sets of exclusive classes and may overlap:
//   l_r = log Σ_{c in r} exp z_c - log Σ_{c not in r} exp z_c   sigmoid(l_r) is the region's probability
//   dz_c = Σ_r ± dl_r · exp z_c / Σ_k exp z_k     + and k in r where c is in r, else - and k not in r
//
// Each sum is taken relative to its own largest logit, as all classes of a region may be improbable. A vector
// holds four classes; those beyond the last have a logit so low that their share is 0.
//
// forward, probabilities, backward: an invocation takes one voxel. masks: one region of one voxel. present:
// one region of one sample.

override WG: u32 = 64;
override classes: u32;      // C
override regions: u32;      // R

const MOST = 8u;            // regions
const LEAST = -3.4e38;      // no logit is lower
const INDICES = vec4u(0u, 1u, 2u, 3u);

struct Params {
  members: array<vec4u, MOST>, // bit c of row r is 1 where class c is in region r
  voxels: u32,              // V, of a sample
  cooling: f32,             // 1/T
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;             // z [N,C,V]
@group(0) @binding(1) var<storage, read> label: array<f32>;              // [N,V]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;            // l, sigmoid(l / T) or masks [N,R,V]
@group(0) @binding(3) var<storage, read> dy: array<f32>;                 // [N,R,V]
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;      // [N,C,V]
@group(0) @binding(5) var<storage, read> counts: array<f32>;             // voxels of each class [N,C]
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y) / regions) { return; }
  for (var r = 0u; r < regions; r++) { y[indexOf(i, regions) + r * params.voxels] = regionLogit(i, r); }
}

@compute @workgroup_size(WG)
fn probabilities(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y) / regions) { return; }
  for (var r = 0u; r < regions; r++) {
    let l = regionLogit(i, r) * params.cooling;
    let e = exp(-abs(l));
    y[indexOf(i, regions) + r * params.voxels] = select(e, 1.0, l >= 0.0) / (1.0 + e);
  }
}

@compute @workgroup_size(WG)
fn masks(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  let row = i / params.voxels;
  let c = u32(label[row / regions * params.voxels + i % params.voxels]);
  y[i] = f32((params.members[row % regions][c / 32u] >> (c % 32u)) & 1u);
}

@compute @workgroup_size(WG)
fn present(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  y[i] = 0.0;
  for (var c = 0u; c < classes; c++) {
    let inside = ((params.members[i % regions][c / 32u] >> (c % 32u)) & 1u) == 1u;
    if (inside && counts[i / regions * classes + c] > 0.0) { y[i] = 1.0; }
  }
}

@compute @workgroup_size(WG)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&dlogits) / classes) { return; }
  let at = indexOf(i, classes);
  for (var first = 0u; first < classes; first += 4u) {
    var slope = vec4f();
    for (var r = 0u; r < regions; r++) {
      let inside = isInside(first, r);
      let sides = sidesOf(at, r);
      let sum = select(vec4f(sides.sum.x), vec4f(sides.sum.y), inside);
      let share = powersOf(at, first, inside, sides.largest) / sum;
      slope += dy[indexOf(i, regions) + r * params.voxels] * select(-share, share, inside);
    }
    for (var c = first; c < min(first + 4u, classes); c++) {
      dlogits[at + c * params.voxels] = slope[c - first];
    }
  }
}

fn regionLogit(i: u32, region: u32) -> f32 {
  let sides = sidesOf(indexOf(i, classes), region);
  return sides.largest.y - sides.largest.x + log(sides.sum.y / sides.sum.x);
}

// The largest logit, and Σ exp(logit - largest), of the classes outside a region and of those inside.
struct Sides { largest: vec2f, sum: vec2f }

fn sidesOf(at: u32, region: u32) -> Sides {
  let least = vec4f(LEAST);
  var sides = Sides(vec2f(LEAST), vec2f());
  for (var first = 0u; first < classes; first += 4u) {
    let z = logitsAt(at, first);
    let inside = isInside(first, region);
    let outsideLargest = largestOf(select(z, least, inside));
    let insideLargest = largestOf(select(least, z, inside));
    sides.largest = max(sides.largest, vec2f(outsideLargest, insideLargest));
  }
  for (var first = 0u; first < classes; first += 4u) {
    let inside = isInside(first, region);
    let powers = powersOf(at, first, inside, sides.largest);
    sides.sum += vec2f(dot(powers, vec4f(!inside)), dot(powers, vec4f(inside)));
  }
  return sides;
}

// exp(logit - largest of its side) of four classes.
fn powersOf(at: u32, first: u32, inside: vec4<bool>, largest: vec2f) -> vec4f {
  return exp(logitsAt(at, first) - select(vec4f(largest.x), vec4f(largest.y), inside));
}

fn logitsAt(at: u32, first: u32) -> vec4f {
  var z = vec4f(LEAST);
  for (var c = first; c < min(first + 4u, classes); c++) { z[c - first] = logits[at + c * params.voxels]; }
  return z;
}

fn isInside(first: u32, region: u32) -> vec4<bool> {
  let bits = vec4u(params.members[region][first / 32u]) >> (first % 32u + INDICES);
  return (bits & vec4u(1u)) == vec4u(1u);
}

fn largestOf(x: vec4f) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }

// The first of so many channels of voxel i of all samples.
fn indexOf(i: u32, channels: u32) -> u32 {
  return i / params.voxels * channels * params.voxels + i % params.voxels;
}
