// y = Σ_i w_i x_i for seven scalars; absent ones have weight 0
//   dx_i = w_i dy

struct Params { w0: f32, w1: f32, w2: f32, w3: f32, w4: f32, w5: f32, w6: f32 }

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read> x2: array<f32>;
@group(0) @binding(3) var<storage, read> x3: array<f32>;
@group(0) @binding(4) var<storage, read> x4: array<f32>;
@group(0) @binding(5) var<storage, read> x5: array<f32>;
@group(0) @binding(6) var<storage, read> x6: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;
@group(0) @binding(8) var<storage, read> dy: array<f32>;
@group(0) @binding(9) var<storage, read_write> dx0: array<f32>;
@group(0) @binding(10) var<storage, read_write> dx1: array<f32>;
@group(0) @binding(11) var<storage, read_write> dx2: array<f32>;
@group(0) @binding(12) var<storage, read_write> dx3: array<f32>;
@group(0) @binding(13) var<storage, read_write> dx4: array<f32>;
@group(0) @binding(14) var<storage, read_write> dx5: array<f32>;
@group(0) @binding(15) var<storage, read_write> dx6: array<f32>;
@group(0) @binding(16) var<uniform> params: Params;

@compute @workgroup_size(1)
fn forward() {
  y[0] = params.w0 * x0[0] + params.w1 * x1[0] + params.w2 * x2[0] + params.w3 * x3[0] +
    params.w4 * x4[0] + params.w5 * x5[0] + params.w6 * x6[0];
}

@compute @workgroup_size(1)
fn backward() {
  dx0[0] = params.w0 * dy[0];
  dx1[0] = params.w1 * dy[0];
  dx2[0] = params.w2 * dy[0];
  dx3[0] = params.w3 * dy[0];
  dx4[0] = params.w4 * dy[0];
  dx5[0] = params.w5 * dy[0];
  dx6[0] = params.w6 * dy[0];
}
