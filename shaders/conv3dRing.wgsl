// The weight gradient of 3³ at stride 1 out of workgroup memory, for GPUs.
//   dw[o,c,k] = Σ_{n,p} dy[n,o,p] · x[n,c, p + k - 1]   (then sumSplits)
//
// A workgroup sums all 27 taps of BO output and 8 input channels over one of `splits` shares of the columns
// of TY·TX voxels. It walks along a column in z with a ring of three planes of x, each with the voxels around
// it, and one plane of dy. An invocation sums the nine taps of one kz for 8 output channels and one input
// channel, over a pair of rows: 72 sums. It reads 8 vec4 of x and 16 of dy for 576 multiplications.
//
// The pairs of rows are added in order at the end. All sums are written out as members, so that they stay in
// registers.

alias real = f32;

override TX: u32 = 16u;       // voxels of a column along W, a multiple of 4
override TY: u32 = 4u;        // along H, a multiple of 2
override BO: u32 = 16u;       // output channels of a workgroup, a multiple of 8
override NT: u32 = 96u;       // invocations: 8 · TY/2 · BO/8 · 3
override PITCH: u32 = 5u;     // vec4 from one row of x to the next, at least TX/4 + 1
override PLANE: u32 = 31u;    // from one channel's plane to the next: odd, at least (TY + 2)·PITCH

const INPUTS = 8u;            // input channels of a workgroup
const MOST_X = 12u;           // voxels of x that an invocation loads for a plane, at most
const MOST_DY = 12u;          // and of dy

struct Params {
  size: vec3u,                // D, H, W
  inputs: u32,                // C
  outputs: u32,               // O
  batch: u32,                 // N
  splits: u32,                // shares of the columns' planes
  first: u32,                 // first invocation
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> dy: array<real>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> ring: array<vec4f, max(3u * INPUTS * PLANE, 3u * NT)>; // at the end: all sums
var<workgroup> grad: array<vec4f, BO * TY * TX / 4u>;

/* The nine taps of a plane along W: those of the row above, of the row itself and of the row below. */
struct Taps { above: vec3f, here: vec3f, below: vec3f }

/* A column of voxels: its first, and its sample. */
struct Column { x: u32, y: u32, n: u32 }

@compute @workgroup_size(NT)
fn backwardWeight(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = params.size;
  let across = (size.z + TX - 1u) / TX;                  // columns along W
  let down = (size.y + TY - 1u) / TY;                    // columns along H
  let outputBlocks = (params.outputs + BO - 1u) / BO;
  let inputBlocks = (params.inputs + INPUTS - 1u) / INPUTS;

  var i = params.first / NT + group.x + group.y * groups.x;
  let firstOutput = i % outputBlocks * BO;     i /= outputBlocks;
  let firstInput = i % inputBlocks * INPUTS;   i /= inputBlocks;
  let split = i;
  if (split >= params.splits) { return; }                // all invocations alike

  let c = lane % INPUTS;                                 // what this invocation sums: an input channel
  let pair = lane / INPUTS % (TY / 2u);                  // over a pair of rows
  let octet = lane / INPUTS / (TY / 2u) % (BO / 8u);     // for eight output channels
  let kz = lane / INPUTS / (TY / 2u) / (BO / 8u);
  var sum0 = Taps();
  var sum1 = Taps();
  var sum2 = Taps();
  var sum3 = Taps();
  var sum4 = Taps();
  var sum5 = Taps();
  var sum6 = Taps();
  var sum7 = Taps();

  let planes = params.batch * down * across * size.x;    // of all columns
  var at = planes * split / params.splits;
  let end = planes * (split + 1u) / params.splits;
  while (at < end) {
    let i = at / size.x;
    let column = Column(i % across * TX, i / across % down * TY, i / across / down);
    let begin = at % size.x;
    let stop = min(size.x, begin + end - at);            // planes begin … stop - 1 of dy
    for (var step = begin; step < stop + 2u; step++) {   // loads plane step - 1 of x, step - 2 of dy
      let meets = begin + 2u <= step;
      load(lane, step, meets, column, firstInput, firstOutput);
      if (meets) {                                       // plane step - 2 of dy meets step - 3 + kz of x
        let row = (step + 1u + kz) % 3u * INPUTS * PLANE + c * PLANE + 2u * pair * PITCH;
        let next = TY * TX / 4u;                         // from one output channel of dy to the next
        let g = octet * 8u * next + 2u * pair * TX / 4u;
        for (var v = 0u; v < TX / 4u; v++) {
          let r0 = rowOf(row + v);
          let r1 = rowOf(row + PITCH + v);
          let r2 = rowOf(row + 2u * PITCH + v);
          let r3 = rowOf(row + 3u * PITCH + v);
          sum0 = plus(sum0, g + v, r0, r1, r2, r3);
          sum1 = plus(sum1, g + next + v, r0, r1, r2, r3);
          sum2 = plus(sum2, g + 2u * next + v, r0, r1, r2, r3);
          sum3 = plus(sum3, g + 3u * next + v, r0, r1, r2, r3);
          sum4 = plus(sum4, g + 4u * next + v, r0, r1, r2, r3);
          sum5 = plus(sum5, g + 5u * next + v, r0, r1, r2, r3);
          sum6 = plus(sum6, g + 6u * next + v, r0, r1, r2, r3);
          sum7 = plus(sum7, g + 7u * next + v, r0, r1, r2, r3);
        }
      }
    }
    at += stop - begin;
    workgroupBarrier();                                  // all have read the ring
  }

  let o = firstOutput + octet * 8u;
  let mine = Place(lane, pair, kz, firstInput + c, split);
  finish(sum0, o, mine);
  finish(sum1, o + 1u, mine);
  finish(sum2, o + 2u, mine);
  finish(sum3, o + 3u, mine);
  finish(sum4, o + 4u, mine);
  finish(sum5, o + 5u, mine);
  finish(sum6, o + 6u, mine);
  finish(sum7, o + 7u, mine);
}

/* Loads plane step - 1 of x into the ring, and plane step - 2 of dy if it `meets` one; zeros outside. */
fn load(lane: u32, step: u32, meets: bool, column: Column, firstInput: u32, firstOutput: u32) {
  let size = params.size;
  let plane = size.y * size.z;
  let z = step - 1u;                                     // below zero it wraps and fails the bounds check
  let held = INPUTS * (TY + 2u) * (TX + 2u);
  var xs: array<f32, MOST_X>;
  for (var j = 0u; j < MOST_X; j++) {
    if (j * NT < held) {
      let e = lane + j * NT;
      let px = column.x + e % (TX + 2u) - 1u;
      let py = column.y + e / (TX + 2u) % (TY + 2u) - 1u;
      let c = firstInput + e / (TX + 2u) / (TY + 2u);
      let inside = px < size.z && py < size.y && z < size.x && c < params.inputs;
      let source = (column.n * params.inputs + c) * size.x * plane + z * plane + py * size.z + px;
      xs[j] = select(0.0, f32(x[select(0u, source, inside)]), inside);
    }
  }
  var gs: array<f32, MOST_DY>;
  for (var j = 0u; j < MOST_DY; j++) {
    if (j * NT < BO * TY * TX) {
      let e = lane + j * NT;
      let px = column.x + e % TX;
      let py = column.y + e / TX % TY;
      let o = firstOutput + e / TX / TY;
      let inside = px < size.z && py < size.y && o < params.outputs && meets;
      let source = (column.n * params.outputs + o) * size.x * plane + (step - 2u) * plane + py * size.z + px;
      gs[j] = select(0.0, f32(dy[select(0u, source, inside)]), inside);
    }
  }
  workgroupBarrier();                                    // all have read the planes before
  for (var j = 0u; j < MOST_X; j++) {
    let e = lane + j * NT;
    if (e < held) {
      let row = e / (TX + 2u) % (TY + 2u);
      let channel = step % 3u * INPUTS + e / (TX + 2u) / (TY + 2u);
      let goal = (channel * PLANE + row * PITCH) * 4u + e % (TX + 2u);
      ring[goal / 4u][goal % 4u] = xs[j];
    }
  }
  for (var j = 0u; j < MOST_DY; j++) {
    let e = lane + j * NT;
    if (e < BO * TY * TX) { grad[e / 4u][e % 4u] = gs[j]; }
  }
  workgroupBarrier();
}

/* Six voxels of a row. */
struct Row { a: vec4f, b: vec2f }

fn rowOf(at: u32) -> Row { return Row(ring[at], ring[at + 1u].xy); }

/* The sums with the products of two rows of dy, at g and below, and the four rows of x that they meet. */
fn plus(sum: Taps, g: u32, r0: Row, r1: Row, r2: Row, r3: Row) -> Taps {
  let a = grad[g];
  let b = grad[g + TX / 4u];
  return Taps(
    products(products(sum.above, a, r0), b, r1),
    products(products(sum.here, a, r1), b, r2),
    products(products(sum.below, a, r2), b, r3),
  );
}

fn products(sum: vec3f, g: vec4f, row: Row) -> vec3f {
  let first = fma(vec3f(g.y), row.a.yzw, fma(vec3f(g.x), row.a.xyz, sum));
  return fma(vec3f(g.w), vec3f(row.a.w, row.b), fma(vec3f(g.z), vec3f(row.a.zw, row.b.x), first));
}

/* An invocation: its lane, pair of rows, kz, input channel and share. */
struct Place { lane: u32, pair: u32, kz: u32, c: u32, split: u32 }

/* Writes the sums of all pairs of rows, in order, for output channel o of each invocation. */
fn finish(own: Taps, o: u32, mine: Place) {
  workgroupBarrier();
  ring[3u * mine.lane] = vec4f(own.above, 0.0);
  ring[3u * mine.lane + 1u] = vec4f(own.here, 0.0);
  ring[3u * mine.lane + 2u] = vec4f(own.below, 0.0);
  workgroupBarrier();
  if (mine.pair > 0u || o >= params.outputs || mine.c >= params.inputs) { return; }
  let at = ((mine.split * params.outputs + o) * params.inputs + mine.c) * 27u + mine.kz * 9u;
  for (var k = 0u; k < 3u; k++) {
    var sum = vec3f();
    for (var r = 0u; r < TY / 2u; r++) { sum += ring[3u * (mine.lane + INPUTS * r) + k].xyz; }
    for (var kx = 0u; kx < 3u; kx++) { partial[at + 3u * k + kx] = sum[kx]; }
  }
}
