enable subgroups;

// The gradient of a 3³ weight at stride 1, for subgroups of at least 8 lanes.
//   partial[s,o,c,k] = Σ_{(n,p) of share s} dy[n,o,p] · x[n,c, p + k - 1]        (then conv3d's sumSplits)
//
// Eight invocations, one for each of 8 output channels, compute the 3x3 taps of one kz for TC input channels,
// over one of `splits` shares of the rows of dy. They go along a row STRIP voxels at a time: these meet STRIP
// + 2 voxels of x. One lane loads each of those and broadcasts it.

alias real = f32;

const TO = 8u;              // output channels of a tile
const TC = 4u;              // input channels
const STRIP = 6u;           // voxels along W at a time

struct Params {
  size: vec3u,              // D, H, W
  inputs: u32,              // C
  outputs: u32,             // O
  batch: u32,               // N
  splits: u32,              // shares of the rows
  first: u32,               // first invocation
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> dy: array<real>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(8)
fn backwardWeight(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = params.size;
  let blocks = (params.outputs + TO - 1u) / TO;
  let slices = (params.inputs + TC - 1u) / TC;

  var i = params.first / 8u + group.x + group.y * groups.x;
  let kz = i % 3u;            i /= 3u;
  let c = i % slices * TC;    i /= slices;
  let o = i % blocks * TO;    i /= blocks;
  let split = i;
  if (split >= params.splits) { return; }

  let mine = min(o + lane, params.outputs - 1u);         // this lane's output channel
  let rows = params.batch * size.x * size.y;
  let plane = size.x * size.y * size.z;
  var sum0: array<vec3f, 3>;                             // of input channel c, by ky: the three kx
  var sum1: array<vec3f, 3>;                             // of c + 1 …
  var sum2: array<vec3f, 3>;
  var sum3: array<vec3f, 3>;

  for (var row = rows * split / params.splits; row < rows * (split + 1u) / params.splits; row++) {
    let qy = row % size.y;
    let qz = row / size.y % size.x;
    let n = row / (size.y * size.x);
    let z = qz + kz - 1u;
    if (z >= size.x) { continue; }
    let line = (n * params.outputs + mine) * plane + (qz * size.y + qy) * size.z;
    for (var qx = 0u; qx < size.z; qx += STRIP) {
      var g: array<f32, STRIP>;
      for (var v = 0u; v < STRIP; v++) {
        g[v] = select(0.0, f32(dy[line + min(qx + v, size.z - 1u)]), qx + v < size.z);
      }
      for (var ky = 0u; ky < 3u; ky++) {
        let at = Place(n, z, qy + ky - 1u, qx + lane - 1u);
        sum0[ky] += strip(g, voxel(c, at));
        sum1[ky] += strip(g, voxel(c + 1u, at));
        sum2[ky] += strip(g, voxel(c + 2u, at));
        sum3[ky] += strip(g, voxel(c + 3u, at));
      }
    }
  }

  if (o + lane >= params.outputs) { return; }
  for (var ky = 0u; ky < 3u; ky++) {
    let taps = array<vec3f, TC>(sum0[ky], sum1[ky], sum2[ky], sum3[ky]);
    for (var u = 0u; u < TC; u++) {
      if (c + u < params.inputs) {
        let at = ((split * params.outputs + o + lane) * params.inputs + c + u) * 27u + (kz * 3u + ky) * 3u;
        partial[at] = taps[u].x;
        partial[at + 1u] = taps[u].y;
        partial[at + 2u] = taps[u].z;
      }
    }
  }
}

struct Place { n: u32, z: u32, y: u32, x: u32 }

// x at a place; zero outside the volume. A channel beyond the last reads another one.
fn voxel(c: u32, at: Place) -> f32 {
  let size = params.size;
  let row = ((at.n * params.inputs + min(c, params.inputs - 1u)) * size.x + at.z) * size.y + min(at.y, size.y - 1u);
  return select(0.0, f32(x[row * size.z + min(at.x, size.z - 1u)]), at.y < size.y && at.x < size.z);
}

// Σ_v g[v] · voxel v + kx of the strip, for the three kx. Lane v has voxel v.
fn strip(g: array<f32, STRIP>, own: f32) -> vec3f {
  let a = vec4f(subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u), subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u));
  let b = vec4f(subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u), subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u));
  var sum = g[0] * a.xyz;
  sum = fma(vec3f(g[1]), a.yzw, sum);
  sum = fma(vec3f(g[2]), vec3f(a.zw, b.x), sum);
  sum = fma(vec3f(g[3]), vec3f(a.w, b.xy), sum);
  sum = fma(vec3f(g[4]), b.xyz, sum);
  return fma(vec3f(g[5]), b.yzw, sum);
}
