// The logarithm of the softmax over channels.   x, y [N,C,V]; a workgroup takes TILE voxels of one sample.
// An invocation holds a voxel's channels where there are at most four.
//   y[c] = x[c] - max - log Σ_k exp(x[k] - max)          the maximum is subtracted so that nothing overflows
//   dx[c] = dy[c] - exp(y[c]) · Σ_k dy[k]

override WG: u32 = 64;
override held: u32 = 0;     // C where an invocation holds a voxel's values, else 0

const TILE = 512u;
const NONE = -3e38;         // the value of an absent channel

struct Params {
  channels: u32,                        // C
  voxels: u32,                          // V
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let run = runOf(group, thread);
  for (var start = run.x; start < run.y; start += 8u) {
    if (held > 0u) {
      var z = vec4f(NONE);
      for (var c = 0u; c < held; c++) { z[c] = x[start + c * params.voxels]; }
      z -= max(max(z.x, z.y), max(z.z, z.w));
      z -= log(dot(exp(z), vec4f(1.0)));
      for (var c = 0u; c < held; c++) { y[start + c * params.voxels] = z[c]; }
    } else {
      let end = start + params.channels * params.voxels;
      var largest = x[start];
      for (var j = start; j < end; j += params.voxels) { largest = max(largest, x[j]); }
      var sum = 0.0;
      for (var j = start; j < end; j += params.voxels) { sum += exp(x[j] - largest); }
      let logSum = log(sum);
      for (var j = start; j < end; j += params.voxels) { y[j] = x[j] - largest - logSum; }
    }
  }
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let run = runOf(group, thread);
  for (var start = run.x; start < run.y; start += 8u) {
    if (held > 0u) {
      var d = vec4f();
      for (var c = 0u; c < held; c++) { d[c] = dy[start + c * params.voxels]; }
      let sum = dot(d, vec4f(1.0));
      for (var c = 0u; c < held; c++) {
        let i = start + c * params.voxels;
        dx[i] = d[c] - exp(y[i]) * sum;
      }
    } else {
      let end = start + params.channels * params.voxels;
      var sum = 0.0;
      for (var j = start; j < end; j += params.voxels) { sum += dy[j]; }
      for (var j = start; j < end; j += params.voxels) { dx[j] = dy[j] - exp(y[j]) * sum; }
    }
  }
}

// The first element of an invocation and the end of its run. Eight invocations share a run, each with every
// eighth element: drivers of eight lanes and caches read in order, others whole sectors of 32 bytes.
fn runOf(group: vec3u, thread: u32) -> vec2u {
  let sample = group.y * params.channels * params.voxels;
  let length = 8u * TILE / WG;
  let begin = group.x * TILE + thread / 8u * length;
  return sample + vec2u(begin + thread % 8u, max(begin, min(begin + length, params.voxels)));
}
