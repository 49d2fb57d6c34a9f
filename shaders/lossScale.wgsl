// Dynamic loss scaling for gradients of half precision (Micikevicius et al., ICLR 2018), as torch.amp.GradScaler: what
// backward begins with is scale, optimizers divide by it, and leave out a step whose gradient is not finite.
//
// check: a workgroup says of CHUNK numbers whether one is infinite or NaN, by its bits, for compilers may take it that
// no number is. gather: one workgroup puts that together. update: after a step, scale halves if it was left out, and
// doubles after `patience` steps that were not.

override WG: u32 = 64u;

const CHUNK = 4096u;
const LARGEST = 16777216.0;  // 2^24: of f16's range nothing is left beyond

struct Scaling {
  scale: f32,
  steps: f32,               // since it changed
  finite: f32,              // 1 as long as the step's gradient is
  skipped: f32,             // steps left out so far
}
struct Params { patience: f32 }

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read_write> flags: array<f32>;       // of chunks: 1 if all numbers are finite
@group(0) @binding(2) var<storage, read_write> scaling: array<Scaling>; // one
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> tree: array<u32, WG>;

@compute @workgroup_size(WG)
fn check(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let chunk = group.x + group.y * groups.x;
  let end = min((chunk + 1u) * CHUNK, arrayLength(&gradient));
  var infinite = 0u;
  for (var i = chunk * CHUNK + lane; i < end; i += WG) {
    infinite |= u32((bitcast<u32>(gradient[i]) & 0x7f800000u) == 0x7f800000u);
  }
  let all = someOf(lane, infinite);
  if (lane == 0u && chunk < arrayLength(&flags)) { flags[chunk] = select(1.0, 0.0, all); }
}

@compute @workgroup_size(WG)
fn gather(@builtin(local_invocation_index) lane: u32) {
  var infinite = 0u;
  for (var i = lane; i < arrayLength(&flags); i += WG) { infinite |= u32(flags[i] == 0.0); }
  if (someOf(lane, infinite) && lane == 0u) { scaling[0].finite = 0.0; }
}

@compute @workgroup_size(1)
fn update() {
  var s = scaling[0];
  if (s.finite == 0.0) {
    s = Scaling(s.scale / 2.0, 0.0, 1.0, s.skipped + 1.0);
  } else {
    s.steps += 1.0;
    if (s.steps == params.patience) { s = Scaling(min(2.0 * s.scale, LARGEST), 0.0, 1.0, s.skipped); }
  }
  scaling[0] = s;
}

// Whether any thread of the workgroup has a value that is not 0; for the first thread.
fn someOf(lane: u32, own: u32) -> bool {
  tree[lane] = own;
  workgroupBarrier();
  var found = 0u;
  if (lane == 0u) {
    for (var i = 0u; i < WG; i++) { found |= tree[i]; }
  }
  return found != 0u;
}
