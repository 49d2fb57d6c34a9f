// Twice the size by linear interpolation between voxel centres.   x [N·C,D,H,W] → y [N·C,2D,2H,2W]
// Along an axis output p lies a quarter of a voxel from input p/2, towards p/2 - 1 for even p, else p/2 + 1:
//   y[p] = ¾ x[p/2] + ¼ x[far(p)]        far(p) is that neighbour, at the border p/2 itself
//   dx[q] = Σ_p (¾ [p/2 = q] + ¼ [far(p) = q]) dy[p], p in 2q-1 … 2q+2
// In three dimensions the weights are products.
//
// A workgroup (h, d, plane) takes a row of x and writes its four rows of y: an invocation computes the four
// elements at a place along W from 3x3 rows of x; backward, the row itself.

alias real = f32;

override WG: u32 = 64;

struct Params {
  size: vec3u,              // D, H, W
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read_write> y: array<real>;
@group(0) @binding(2) var<storage, read> dy: array<real>;
@group(0) @binding(3) var<storage, read_write> dx: array<real>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let size = params.size;
  let corner = 2u * group.yx;
  for (var w = lane; w < 2u * size.z; w += WG) {
    let towards = select(max(w / 2u, 1u) - 1u, min(w / 2u + 1u, size.z - 1u), w % 2u == 1u);
    var along: array<f32, 9>;           // interpolated along W: (d, h) - 1 … (d, h) + 1
    for (var j = 0u; j < 9u; j++) {
      let source = row(group.z, nearest(group.yx + vec2u(j / 3u, j % 3u)), size);
      along[j] = 0.75 * f32(x[source + w / 2u]) + 0.25 * f32(x[source + towards]);
    }
    for (var k = 0u; k < 4u; k++) {
      let odd = vec2u(k / 2u, k % 2u);
      let near = 0.75 * along[4] + 0.25 * along[3u + 2u * odd.y];
      let far = 0.75 * along[1u + 6u * odd.x] + 0.25 * along[6u * odd.x + 2u * odd.y];
      y[row(group.z, corner + odd, 2u * size) + w] = real(0.75 * near + 0.25 * far);
    }
  }
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let size = params.size;
  let weightD = weights(group.y, size.x);
  let weightH = weights(group.x, size.y);
  let to = row(group.z, group.yx, size);
  for (var w = lane; w < size.z; w += WG) {
    let weightW = weights(w, size.z);
    var sum = 0.0;
    for (var j = 0u; j < 16u; j++) {
      let p = vec2u(place(group.y, j / 4u, size.x), place(group.x, j % 4u, size.y));
      let source = row(group.z, p, 2u * size);
      var along = 0.0;
      for (var k = 0u; k < 4u; k++) { along += weightW[k] * f32(dy[source + place(w, k, size.z)]); }
      sum += weightD[j / 4u] * weightH[j % 4u] * along;
    }
    dx[to + w] = real(sum);
  }
}

// The weights of input q in outputs 2q-1 … 2q+2 along an axis; 0 for outputs that do not exist.
fn weights(q: u32, length: u32) -> vec4f {
  let first = q == 0u;
  let last = q == length - 1u;
  return vec4f(
    select(0.25, 0.0, first), select(0.75, 1.0, first), select(0.75, 1.0, last), select(0.25, 0.0, last),
  );
}

// The output 2q-1+k, or the nearest that exists.
fn place(q: u32, k: u32, length: u32) -> u32 { return min(max(2u * q + k, 1u) - 1u, 2u * length - 1u); }

// The row of x at (d, h) - 1, or the nearest that exists.
fn nearest(at: vec2u) -> vec2u { return min(max(at, vec2u(1u)) - 1u, params.size.xy - 1u); }

// The start of the row (d, h) of a plane.
fn row(plane: u32, at: vec2u, size: vec3u) -> u32 {
  return ((plane * size.x + at.x) * size.y + at.y) * size.z;
}
