enable subgroups;

// The weight gradient of 3³ at stride 1 where W is a multiple of 4, for subgroups of exactly eight lanes.
//   dw[o,c,k] = Σ_{n,p} dy[n,o,p] · x[n,c, p + k - 1]   (then sumSplits)
//
// A workgroup is one subgroup; its lanes are eight input channels. A load brings four voxels of a lane's own
// channel, so x needs no broadcasts. dy goes round: in round r, lane l multiplies with the output channel
// that lane l + r loaded. Eight voxels take 64 shuffles, where conv3dEight.wgsl broadcasts 240 times.
//
// An invocation sums the 3x3 taps of one kz for eight output channels. It walks down columns of eight voxels
// along W, one of `splits` shares of them, and keeps two of the three rows of x that a row of dy meets. Where
// W is 4 (`four`), a column is four voxels of one plane and four of the next.
//
// The 8 products of a row are summed before they join the sum: short sums round less. All arrays are written
// out as members, so that they stay in registers.

alias real = f32;

override four: bool = false;  // true if W is 4

const LANES = 8u;
const COLUMN = 8u;            // voxels along W of a column

struct Params {
  size: vec3u,                // D, H, W
  inputs: u32,                // C
  outputs: u32,               // O
  batch: u32,                 // N
  splits: u32,                // shares of the columns
  first: u32,                 // first invocation
}

@group(0) @binding(0) var<storage, read> x: array<vec4<real>>;
@group(0) @binding(1) var<storage, read> dy: array<vec4<real>>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(8)
fn backwardWeight(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = params.size;
  let outputBlocks = (params.outputs + LANES - 1u) / LANES;
  let inputBlocks = (params.inputs + LANES - 1u) / LANES;

  var i = params.first / LANES + group.x + group.y * groups.x;
  let kz = i % 3u;                        i /= 3u;
  let c = i % inputBlocks * LANES + lane; i /= inputBlocks;  // this lane's input channel
  let o = i % outputBlocks * LANES;       i /= outputBlocks; // the first of its output channels
  let split = i;
  if (split >= params.splits) { return; }

  let across = select((size.z + COLUMN - 1u) / COLUMN, 1u, four);
  let deep = select(size.x, (size.x + 1u) / 2u, four);       // columns along D
  let columns = params.batch * deep * across;
  let quads = size.z / 4u;                                   // of four voxels, in a row
  let plane = size.y * quads;
  let volume = size.x * plane;
  let mine = min(c, params.inputs - 1u);                     // channels beyond the last read its voxels
  let loaded = min(o + lane, params.outputs - 1u);
  var sum0 = Taps();                                         // sums of output channel o + lane
  var sum1 = Taps();                                         // and of o + (lane + 1) % 8 …
  var sum2 = Taps();
  var sum3 = Taps();
  var sum4 = Taps();
  var sum5 = Taps();
  var sum6 = Taps();
  var sum7 = Taps();

  for (var column = columns * split / params.splits; column < columns * (split + 1u) / params.splits; column++) {
    let q = column % across * 2u;                            // the column's first quad
    let qz = column / across % deep * select(1u, 2u, four);
    let n = column / across / deep;
    let z = qz + kz - 1u;                                    // below zero it wraps and fails the bounds check
    let hasLow = z < size.x;                                 // the column's first quad meets voxels of x
    let hasHigh = select(q + 1u < quads && hasLow, z + 1u < size.x && qz + 1u < size.x, four);
    if (!hasLow && !hasHigh) { continue; }
    let corner = (n * params.inputs + mine) * volume + q;
    let low = corner + select(0u, z, hasLow) * plane;
    let high = select(low, select(low + 1u, corner + (z + 1u) * plane, four), hasHigh);
    let start = (n * params.outputs + loaded) * volume + qz * plane + q; // in dy
    let toHigh = select(0u, select(1u, plane, four), hasHigh);
    let has = Held(hasLow, hasHigh, q > 0u, q + 2u < quads);
    var above = Row();
    var here = rowOf(low, high, has);
    for (var row = 0u; row < size.y; row++) {
      let down = (row + 1u) * quads;
      var below = Row();
      if (row + 1u < size.y) { below = rowOf(low + down, high + down, has); }
      let g = vec4f(dy[start + row * quads]);
      let h = select(vec4f(), vec4f(dy[start + row * quads + toHigh]), hasHigh);
      sum0 = plus(sum0, tapsOf(g, h, above, here, below));
      sum1 = plus(sum1, tapsOf(turned(g, lane + 1u), turned(h, lane + 1u), above, here, below));
      sum2 = plus(sum2, tapsOf(turned(g, lane + 2u), turned(h, lane + 2u), above, here, below));
      sum3 = plus(sum3, tapsOf(turned(g, lane + 3u), turned(h, lane + 3u), above, here, below));
      sum4 = plus(sum4, tapsOf(turned(g, lane + 4u), turned(h, lane + 4u), above, here, below));
      sum5 = plus(sum5, tapsOf(turned(g, lane + 5u), turned(h, lane + 5u), above, here, below));
      sum6 = plus(sum6, tapsOf(turned(g, lane + 6u), turned(h, lane + 6u), above, here, below));
      sum7 = plus(sum7, tapsOf(turned(g, lane + 7u), turned(h, lane + 7u), above, here, below));
      above = here;
      here = below;
    }
  }

  if (c >= params.inputs) { return; }
  let sums = array<Taps, LANES>(sum0, sum1, sum2, sum3, sum4, sum5, sum6, sum7);
  for (var r = 0u; r < LANES; r++) {
    let output = o + (lane + r) % LANES;
    if (output < params.outputs) {
      let at = ((split * params.outputs + output) * params.inputs + c) * 27u + kz * 9u;
      let rows = array<vec3f, 3>(sums[r].above, sums[r].here, sums[r].below);
      for (var k = 0u; k < 9u; k++) { partial[at + k] = rows[k / 3u][k % 3u]; }
    }
  }
}

// The value of another lane.
fn turned(value: vec4f, lane: u32) -> vec4f { return subgroupShuffle(value, lane % LANES); }

// The nine taps of a plane along W: those of the row above, of the row itself and of the row below.
struct Taps { above: vec3f, here: vec3f, below: vec3f }

fn plus(a: Taps, b: Taps) -> Taps { return Taps(a.above + b.above, a.here + b.here, a.below + b.below); }

// Which quads of a row the volume has: both of the column, and those on either side of it.
struct Held { low: bool, high: bool, left: bool, right: bool }

// A row of x: the column's two quads, the voxel before each, and the voxel after each.
struct Row { low: vec4f, high: vec4f, beforeLow: f32, afterLow: f32, beforeHigh: f32, afterHigh: f32 }

fn rowOf(low: u32, high: u32, has: Held) -> Row {
  let a = select(vec4f(), vec4f(x[low]), has.low);
  let b = select(vec4f(), vec4f(x[high]), has.high);
  if (four) { return Row(a, b, 0.0, 0.0, 0.0, 0.0); }
  let left = select(0.0, f32(x[low - select(0u, 1u, has.left)].w), has.left);
  let right = select(0.0, f32(x[low + select(0u, 2u, has.right)].x), has.right);
  return Row(a, b, left, b.x, a.w, right);
}

// The products of a row of dy with the three rows of x that it meets.
fn tapsOf(g: vec4f, h: vec4f, above: Row, here: Row, below: Row) -> Taps {
  return Taps(products(g, h, above), products(g, h, here), products(g, h, below));
}

// Σ_v dy[v] · x[v + kx - 1], for the three kx.
fn products(g: vec4f, h: vec4f, row: Row) -> vec3f {
  var sum = g.x * vec3f(row.beforeLow, row.low.xy);
  sum = fma(vec3f(g.y), row.low.xyz, sum);
  sum = fma(vec3f(g.z), row.low.yzw, sum);
  sum = fma(vec3f(g.w), vec3f(row.low.zw, row.afterLow), sum);
  sum = fma(vec3f(h.x), vec3f(row.beforeHigh, row.high.xy), sum);
  sum = fma(vec3f(h.y), row.high.xyz, sum);
  sum = fma(vec3f(h.z), row.high.yzw, sum);
  return fma(vec3f(h.w), vec3f(row.high.zw, row.afterHigh), sum);
}
