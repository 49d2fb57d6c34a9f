// Transposed 3-D convolution, NCDHW, kernel K³, stride S, padding P: the adjoint of conv3d in x.
//   y [n,o,q] = bias[o] + Σ_{i,k,p: S·p + k - P = q} weight[i,o,k] · x[n,i,p]
// Its dx is conv3d of dy; its dw is that of conv3d with x and dy exchanged (conv3d.wgsl).
//
// At an output q only the taps k ≡ q + P (mod S) meet an input, at p = (q + P - k) / S. An invocation
// computes TW outputs of a row, S apart, which share their taps, for TO output channels.

alias real = f32;

override WG: u32 = 64u;
override K: u32 = 2u;
override S: u32 = 2u;
override P: u32 = 0u;
override TW: u32 = 8u;      // outputs of a tile along W, at most 8

const TO = 8u;              // output channels of a tile
const ROW = 11u;            // the most inputs a tile reads of a row: TW - 1 + K / S

struct Params {
  size: vec3u,              // D, H, W of x
  inputs: u32,              // I
  outSize: vec3u,           // D, H, W of y
  outputs: u32,             // O
  batch: u32,               // N
  biased: u32,              // 1 if there is a bias
  first: u32,               // first invocation
}

@group(0) @binding(0) var<storage, read> x: array<real>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<real>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = params.size;
  let out = params.outSize;
  let tiles = (out.z + S * TW - 1u) / (S * TW) * S;      // along W: S phases of every S·TW outputs
  let blocks = (params.outputs + TO - 1u) / TO;
  let last = params.outputs - 1u;
  let J = (K + S - 1u) / S;                              // the most taps along an axis

  var i = params.first + id.x + id.y * groups.x * WG;
  let tile = i % tiles;       i /= tiles;
  let qy = i % out.y;         i /= out.y;
  let qz = i % out.x;         i /= out.x;
  let o = (i % blocks) * TO;  i /= blocks;
  let n = i;
  if (n >= params.batch) { return; }
  let qx = tile / S * S * TW + tile % S;                 // the first output; the others follow S apart
  let phase = vec3u(qz + P, qy + P, qx + P) % S;         // the first tap of each axis
  let start = vec3u(qz + P, qy + P, qx + P) / S;         // and the input it meets

  var at: array<u32, TO>;                                // where each channel's weights begin
  for (var t = 0u; t < TO; t++) { at[t] = min(o + t, last) * K * K * K; }
  var low: array<vec4f, 8>;                              // sums of channels o … o+3, by output
  var high: array<vec4f, 8>;                             // and of o+4 … o+7

  for (var c = 0u; c < params.inputs; c++) {
    var lowHere = array<vec4f, 8>();                        // of this input channel: short sums round less
    var highHere = array<vec4f, 8>();
    for (var jz = 0u; jz < J; jz++) {
      let kz = phase.x + S * jz;
      let z = start.x - jz;                              // below zero it wraps and fails the bounds check
      for (var jy = 0u; jy < J; jy++) {
        let ky = phase.y + S * jy;
        let py = start.y - jy;
        if (kz >= K || ky >= K || z >= size.x || py >= size.y) { continue; }
        let row = (((n * params.inputs + c) * size.x + z) * size.y + py) * size.z;
        var line: array<f32, ROW>;                       // line[u] is the input at start + u - (J-1)
        for (var u = 0u; u < TW + J - 1u; u++) {
          let px = start.z + u - (J - 1u);
          line[u] = select(0.0, f32(x[row + min(px, size.z - 1u)]), px < size.z);
        }
        for (var jx = 0u; jx < J; jx++) {
          let kx = phase.z + S * jx;
          if (kx >= K) { continue; }
          let k = c * params.outputs * K * K * K + (kz * K + ky) * K + kx;
          let wl = vec4f(weight[at[0] + k], weight[at[1] + k], weight[at[2] + k], weight[at[3] + k]);
          let wh = vec4f(weight[at[4] + k], weight[at[5] + k], weight[at[6] + k], weight[at[7] + k]);
          for (var v = 0u; v < TW; v++) {
            lowHere[v] = fma(wl, vec4f(line[v + J - 1u - jx]), lowHere[v]);
            highHere[v] = fma(wh, vec4f(line[v + J - 1u - jx]), highHere[v]);
          }
        }
      }
    }
    for (var v = 0u; v < TW; v++) {
      low[v] += lowHere[v];
      high[v] += highHere[v];
    }
  }

  let plane = out.x * out.y * out.z;
  let corner = n * params.outputs * plane + (qz * out.y + qy) * out.z + qx;
  // Constant bounds keep the sums in registers.
  for (var t = 0u; t < TO; t++) {
    if (o + t <= last) {
      let begin = select(0.0, bias[o + t], params.biased == 1u);
      for (var v = 0u; v < TW; v++) {
        let sum = select(high[v][t & 3u], low[v][t & 3u], t < 4u);
        if (qx + v * S < out.z) { y[corner + (o + t) * plane + v * S] = real(begin + sum); }
      }
    }
  }
}
