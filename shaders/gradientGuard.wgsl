// Clipping of gradients by the norm of all of them, as torch.nn.utils.clip_grad_norm_; skipping of steps
// whose gradients are not finite; and loss scaling for half precision (Micikevicius et al., ICLR 2018), as
// torch.amp.GradScaler.
//   norm = ‖gradient‖ / scale          factor = min(1, clip / (norm + 1e-6)) / scale
//
// check: a workgroup adds the squares of CHUNK elements and looks for infinity and NaN, by the bits, since a
// compiler may assume that neither occurs. gather: one workgroup adds up all chunks; `fresh` and `last` mark
// the first and the last gradient of a step. The order of sums is fixed.

override WG: u32 = 64u;

const CHUNK = 4096u;
const LARGEST = 16777216.0;  // 2^24: the largest scale

struct Partial { squares: f32, finite: f32 }
struct Guard {
  scale: f32,               // of the loss of the next step
  factor: f32,              // for this step's gradients
  finite: f32,              // 1 if all gradients are, else 0
  norm: f32,                // of all gradients, before clipping
  calm: f32,                // steps since the scale changed
  skipped: f32,             // steps so far
}
struct Params {
  fresh: u32,               // 1 for the first gradient
  last: u32,                // 1 for the last
  clip: f32,                // the largest norm; 0 clips nothing
  patience: f32,            // steps after which the scale doubles; 0: never
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read_write> partial: array<Partial>; // of chunks
@group(0) @binding(2) var<storage, read_write> guard: array<Guard>;     // a single one
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> squares: array<f32, WG>;
var<workgroup> infinite: array<u32, WG>;

@compute @workgroup_size(WG)
fn check(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let chunk = group.x + group.y * groups.x;
  let end = min((chunk + 1u) * CHUNK, arrayLength(&gradient));
  var sum = 0.0;
  var bad = 0u;
  for (var i = chunk * CHUNK + lane; i < end; i += WG) {
    let g = gradient[i];
    sum = fma(g, g, sum);
    bad |= u32((bitcast<u32>(g) & 0x7f800000u) == 0x7f800000u);
  }
  let own = together(lane, sum, bad);
  if (lane == 0u && chunk < arrayLength(&partial)) { partial[chunk] = own; }
}

@compute @workgroup_size(WG)
fn gather(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  var bad = 0u;
  for (var i = lane; i < arrayLength(&partial); i += WG) {
    sum += partial[i].squares;
    bad |= u32(partial[i].finite == 0.0);
  }
  var all = together(lane, sum, bad);
  if (lane != 0u) { return; }
  var g = guard[0];
  if (params.fresh == 0u) { all = Partial(all.squares + g.norm, all.finite * g.finite); }
  g.finite = all.finite;
  g.norm = all.squares;     // until the last
  if (params.last == 1u) {
    g.norm = sqrt(all.squares) / g.scale;
    g.factor = select(1.0, min(1.0, params.clip / (g.norm + 1e-6)), params.clip > 0.0) / g.scale;
    g = rescaled(g);
  }
  guard[0] = g;
}

// The scale halves when a step is skipped, and doubles after `patience` steps in a row that were not.
fn rescaled(before: Guard) -> Guard {
  var g = before;
  g.calm += 1.0;
  if (g.finite == 0.0) {
    g.skipped += 1.0;
    g.calm = 0.0;
    if (params.patience > 0.0) { g.scale /= 2.0; }
  } else if (g.calm == params.patience) {
    g.calm = 0.0;
    g.scale = min(2.0 * g.scale, LARGEST);
  }
  return g;
}

// The sum of all invocations' squares, and whether all their elements are finite; for the first invocation.
fn together(lane: u32, own: f32, bad: u32) -> Partial {
  squares[lane] = own;
  infinite[lane] = bad;
  workgroupBarrier();
  var sum = 0.0;
  var found = 0u;
  if (lane == 0u) {
    for (var i = 0u; i < WG; i++) {
      sum += squares[i];
      found |= infinite[i];
    }
  }
  return Partial(sum, select(1.0, 0.0, found != 0u));
}
