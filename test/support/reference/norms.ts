// Normalisations in float64, from their definitions.

import type { Array64 } from "../gradcheck.ts";

const EPS = 1e-5;

/** Σ over samples and voxels: [N,C,...] → [C]. */
export function channelSum(x: Array64): Array64 {
  const { batch, channels } = sizes(x);
  const data = Float64Array.from({ length: channels }, (_, c) => {
    let sum = 0;
    for (let n = 0; n < batch; n++) sum += row(x, n, c).reduce((a, b) => a + b, 0);
    return sum;
  });
  return { shape: [channels], data };
}

/** Standardises by the moments of each channel of each sample. */
export function instanceNorm(x: Array64, weight: Array64, bias: Array64): Array64 {
  return normalise(x, weight, bias, (n, c) => moments([row(x, n, c)]));
}

/** Standardises by the moments of each channel. */
export function batchNorm(x: Array64, weight: Array64, bias: Array64): Array64 {
  const channels = batchMoments(x);
  return normalise(x, weight, bias, (_, c) => channels[c]!);
}

/** Standardises by given moments. */
export function batchNormEval(
  x: Array64,
  weight: Array64,
  bias: Array64,
  mean: Array64,
  variance: Array64,
): Array64 {
  return normalise(x, weight, bias, (_, c) => ({ mean: mean.data[c]!, variance: variance.data[c]! }));
}

/** Mean and variance (divided by the count) of each channel. */
export function batchMoments(x: Array64): Moments[] {
  const { batch, channels } = sizes(x);
  const samples = Array.from({ length: batch }, (_, n) => n);
  return Array.from({ length: channels }, (_, c) => moments(samples.map((n) => row(x, n, c))));
}

/** The softmax over channels. */
export function softmax(x: Array64): Array64 {
  const y = logSoftmax(x);
  return { shape: y.shape, data: y.data.map(Math.exp) };
}

export function logSoftmax(x: Array64): Array64 {
  const { batch, channels, voxels } = sizes(x);
  const data = new Float64Array(x.data.length);
  for (let n = 0; n < batch; n++) {
    for (let v = 0; v < voxels; v++) {
      const at = Array.from({ length: channels }, (_, c) => (n * channels + c) * voxels + v);
      const largest = Math.max(...at.map((i) => x.data[i]!));
      const logSum = Math.log(at.reduce((sum, i) => sum + Math.exp(x.data[i]! - largest), 0));
      for (const i of at) data[i] = x.data[i]! - largest - logSum;
    }
  }
  return { shape: x.shape, data };
}

/** The normal distribution function Φ(x) = ½ + φ(x) Σ x²ᵏ⁺¹ / (2k+1)!!, whose terms have the sign of x. */
export function normalIntegral(x: number): number {
  let sum = 0;
  let term = (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * x;
  for (let k = 1; k < 1000 && term !== 0; k++) {
    sum += term;
    term *= (x * x) / (2 * k + 1);
  }
  return 0.5 + sum;
}

interface Moments {
  mean: number;
  variance: number;
}

function normalise(
  x: Array64,
  weight: Array64,
  bias: Array64,
  momentsOf: (n: number, c: number) => Moments,
): Array64 {
  const { batch, channels, voxels } = sizes(x);
  const data = new Float64Array(x.data.length);
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      const { mean, variance } = momentsOf(n, c);
      const scale = weight.data[c]! / Math.sqrt(variance + EPS);
      row(x, n, c).forEach((value, v) => {
        data[(n * channels + c) * voxels + v] = scale * (value - mean) + bias.data[c]!;
      });
    }
  }
  return { shape: x.shape, data };
}

function moments(rows: readonly Float64Array[]): Moments {
  const count = rows.length * rows[0]!.length;
  let mean = 0;
  for (const values of rows) for (const value of values) mean += value / count;
  let variance = 0;
  for (const values of rows) for (const value of values) variance += (value - mean) ** 2 / count;
  return { mean, variance };
}

function row(x: Array64, n: number, c: number): Float64Array {
  const { channels, voxels } = sizes(x);
  return x.data.subarray((n * channels + c) * voxels, (n * channels + c + 1) * voxels);
}

function sizes({ shape: [batch = 1, channels = 1, ...size] }: Array64) {
  return { batch, channels, voxels: size.reduce((a, b) => a * b, 1) };
}
