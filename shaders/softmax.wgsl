// Softmax over channels.   x, y [N,C,V]; a workgroup takes TILE voxels of one sample.
// An invocation holds a voxel's channels where there are at most four.
//   y[c] = exp((x[c] - max) / T) / Σ_k exp((x[k] - max) / T)     the maximum, so that nothing overflows
//   dx[c] = y[c] · (dy[c] - Σ_k y[k]·dy[k]) / T
// Where one y is nearly 1, the terms of dy[c] - Σ cancel for that c. So dy is taken relative to its value at
// the largest y, which leaves the difference as it is and makes that channel's terms small.

override WG: u32 = 64;
override held: u32 = 0;     // C where an invocation holds a voxel's values, else 0

const TILE = 512u;
const NONE = -3e38;         // the value of an absent channel

struct Params {
  channels: u32,                        // C
  voxels: u32,                          // V
  temperature: f32,                     // T
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
      let powers = exp((z - max(max(z.x, z.y), max(z.z, z.w))) / params.temperature);
      let p = powers * (1.0 / dot(powers, vec4f(1.0)));
      for (var c = 0u; c < held; c++) { y[start + c * params.voxels] = p[c]; }
    } else {
      let end = start + params.channels * params.voxels;
      var largest = x[start];
      for (var j = start; j < end; j += params.voxels) { largest = max(largest, x[j]); }
      var sum = 0.0;
      for (var j = start; j < end; j += params.voxels) { sum += exp((x[j] - largest) / params.temperature); }
      for (var j = start; j < end; j += params.voxels) { y[j] = exp((x[j] - largest) / params.temperature) / sum; }
    }
  }
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let run = runOf(group, thread);
  for (var start = run.x; start < run.y; start += 8u) {
    if (held > 0u) {
      var p = vec4f();
      var d = vec4f();
      for (var c = 0u; c < held; c++) {
        p[c] = y[start + c * params.voxels];
        d[c] = dy[start + c * params.voxels];
      }
      var top = vec2f(p.x, d.x);
      for (var c = 1u; c < held; c++) { top = select(top, vec2f(p[c], d[c]), p[c] > top.x); }
      d -= top.y;
      let gradient = p * (d - dot(p, d)) / params.temperature;
      for (var c = 0u; c < held; c++) { dx[start + c * params.voxels] = gradient[c]; }
    } else {
      let end = start + params.channels * params.voxels;
      var top = start;
      for (var j = start; j < end; j += params.voxels) { top = select(top, j, y[j] > y[top]); }
      var sum = 0.0;
      for (var j = start; j < end; j += params.voxels) { sum += y[j] * (dy[j] - dy[top]); }
      for (var j = start; j < end; j += params.voxels) { dx[j] = y[j] * ((dy[j] - dy[top]) - sum) / params.temperature; }
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
