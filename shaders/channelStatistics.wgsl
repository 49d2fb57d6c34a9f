// Mean and standard deviation of each channel of each sample.   x [N·C,V] → y [N·C]
//   y[r] = (mean, std), std = √(variance + eps)
//   dx[r,v] = (dmean[r] + dstd[r] · (x[r,v] - mean) / std) / V
// instanceNorm.wgsl computes the statistics, of x - shift, so that no digits are lost where mean >> std.
// backward: a workgroup (chunk, row) takes CHUNK voxels.

alias real = f32;

override WG: u32 = 64;

const CHUNK = 4096u;

struct Statistics {
  shift: f32,
  mean: f32,                // of x - shift
  variance: f32,
  rstd: f32,                // 1/√(variance + eps)
}

struct Params {
  voxels: u32,              // V
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> statistics: array<Statistics>;  // [N·C]
@group(0) @binding(2) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(3) var<storage, read> dy: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> dx: array<real>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WG;
  if (i >= arrayLength(&y)) { return; }
  y[i] = vec2f(statistics[i].shift + statistics[i].mean, 1.0 / statistics[i].rstd);
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let s = statistics[group.y];
  let d = dy[group.y] / f32(params.voxels);
  let run = runOf(group.x, thread);
  for (var v = run.x; v < run.y; v += 8u) {
    let i = group.y * params.voxels + v;
    dx[i] = real(d.x + d.y * s.rstd * (f32(x[i]) - s.shift - s.mean));
  }
}

// The first voxel of an invocation and the end of its run. Eight invocations share a run, each with every
// eighth voxel: drivers of eight lanes and caches read in order, others whole sectors of 32 bytes.
fn runOf(chunk: u32, thread: u32) -> vec2u {
  let length = 8u * CHUNK / WG;
  let begin = chunk * CHUNK + thread / 8u * length;
  return vec2u(begin + thread % 8u, min(begin + length, params.voxels));
}
