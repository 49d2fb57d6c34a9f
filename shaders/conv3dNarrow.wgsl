enable subgroups;

// The forward pass of 3³ at stride 1 on planes of at most 4x4 voxels, for subgroups of exactly eight lanes.
//   y [n,o,p] = bias[o] + Σ_{c,k} weight[o,c,k] · x[n,c, p + k - 1]
//
// A workgroup is one subgroup; its lanes are eight output channels, as in conv3dEight.wgsl. There a tile of
// 8x8 voxels would hold a single plane. Here it holds four, so that little of it is empty: a load brings a
// row of plane z, in lanes 0 … 3, and the same row of plane z + 1, in lanes 4 … 7, and broadcasts give both
// to all lanes. A tile is planes z … z + 3.
//
// The 9 products of a plane of taps are summed before they join the sum: short sums round less. Sums are
// vectors of a row's four voxels, written out, so that they stay in registers.

alias real = f32;

const LANES = 8u;
const PLANES = 4u;          // of a tile
const EDGE = 4u;            // the longest rows and columns of a plane

struct Params {
  size: vec3u,              // D, H, W
  inputs: u32,              // C
  outputs: u32,             // O
  batch: u32,               // N
  biased: u32,              // 1 if there is a bias
  outputStride: u32,        // elements of weight from one output channel to the next
  inputStride: u32,         // and from one input channel to the next
  reversed: u32,            // 1 if its taps are in reverse
  first: u32,               // first invocation
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<real>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(8)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = params.size;
  let blocks = (params.outputs + LANES - 1u) / LANES;
  let tiles = (size.x + PLANES - 1u) / PLANES;

  let i = params.first / LANES + group.x + group.y * groups.x;
  let o = i % blocks * LANES + lane;                     // this lane's output channel
  let tile = i / blocks % tiles;
  let n = i / blocks / tiles;
  if (n >= params.batch) { return; }                     // all lanes alike
  let qz = tile * PLANES;
  let plane = size.y * size.z;
  let volume = size.x * plane;

  let column = lane % EDGE;                              // this lane loads it, of plane z + half
  let half = lane / EDGE;
  let columnHeld = column < size.z;
  var taps: array<u32, 9>;
  for (var k = 0u; k < 9u; k++) { taps[k] = select(k, 8u - k, params.reversed == 1u); }
  let mine = min(o, params.outputs - 1u) * params.outputStride;

  var first = Plane();                                   // sums of planes qz … qz + 3
  var second = Plane();
  var third = Plane();
  var fourth = Plane();
  for (var c = 0u; c < params.inputs; c++) {
    let channel = (n * params.inputs + c) * volume + min(column, size.z - 1u);
    for (var kz = 0u; kz < 3u; kz++) {
      let z = qz + half + kz - 1u;                       // below zero it wraps and fails the bounds check
      let low = planes(channel, z, columnHeld);
      let high = planes(channel, z + 2u, columnHeld);
      let slab = mine + c * params.inputStride + select(kz, 2u - kz, params.reversed == 1u) * 9u;
      var w: array<f32, 9>;
      for (var k = 0u; k < 9u; k++) { w[k] = weight[slab + taps[k]]; }
      first = plus(first, w, low.lower);
      second = plus(second, w, low.upper);
      third = plus(third, w, high.lower);
      fourth = plus(fourth, w, high.upper);
    }
  }

  if (o >= params.outputs) { return; }
  let start = select(0.0, bias[o], params.biased == 1u);
  let corner = (n * params.outputs + o) * volume + qz * plane;
  let sums = array<Plane, PLANES>(first, second, third, fourth);
  for (var p = 0u; p < PLANES; p++) {
    let rows = array<vec4f, EDGE>(sums[p].a, sums[p].b, sums[p].c, sums[p].d);
    for (var r = 0u; r < EDGE; r++) {
      for (var j = 0u; j < EDGE; j++) {
        if (qz + p < size.x && r < size.y && j < size.z) {
          y[corner + p * plane + r * size.z + j] = real(start + rows[r][j]);
        }
      }
    }
  }
}

// The rows of a plane; zeros outside the volume.
struct Plane { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

// Two planes, one above the other.
struct Pair { lower: Plane, upper: Plane }

// Plane z of a channel and the one above. Each lane loads a voxel of each row, of plane z or of that above.
fn planes(channel: u32, z: u32, columnHeld: bool) -> Pair {
  let size = params.size;
  let at = channel + min(z, size.x - 1u) * size.y * size.z;
  let held = columnHeld && z < size.x;
  let a = eight(voxel(at, 0u, held));
  let b = eight(voxel(at, 1u, held));
  let c = eight(voxel(at, 2u, held));
  let d = eight(voxel(at, 3u, held));
  return Pair(Plane(a.lower, b.lower, c.lower, d.lower), Plane(a.upper, b.upper, c.upper, d.upper));
}

fn voxel(plane: u32, row: u32, held: bool) -> f32 {
  let size = params.size;
  return select(0.0, f32(x[plane + min(row, size.y - 1u) * size.z]), held && row < size.y);
}

// The sums of a plane, and the products of a plane of taps with the voxels around it.
fn plus(sum: Plane, w: array<f32, 9>, v: Plane) -> Plane {
  return Plane(
    sum.a + (three(w[3], w[4], w[5], v.a) + three(w[6], w[7], w[8], v.b)),
    sum.b + (three(w[0], w[1], w[2], v.a) + (three(w[3], w[4], w[5], v.b) + three(w[6], w[7], w[8], v.c))),
    sum.c + (three(w[0], w[1], w[2], v.b) + (three(w[3], w[4], w[5], v.c) + three(w[6], w[7], w[8], v.d))),
    sum.d + (three(w[0], w[1], w[2], v.c) + three(w[3], w[4], w[5], v.d)),
  );
}

// The products of a row of taps with a row of voxels, which has zeros on either side.
fn three(w0: f32, w1: f32, w2: f32, row: vec4f) -> vec4f {
  return fma(vec4f(w2), vec4f(row.yzw, 0.0), fma(vec4f(w1), row, w0 * vec4f(0.0, row.xyz)));
}

// The values of all eight lanes.
struct Row { lower: vec4f, upper: vec4f }

fn eight(own: f32) -> Row {
  return Row(
    vec4f(subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u), subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u)),
    vec4f(subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u), subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u)),
  );
}
