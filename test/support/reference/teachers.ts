// Losses of several teachers in float64, straight from their formulas.

import type { Array64 } from "../gradcheck.ts";

const scalar = (value: number): Array64 => ({ shape: [], data: Float64Array.of(value) });

/** softmax_m Σ_d blend_d features_nd factors_md. */
export function teacherWeights(features: Array64, factors: Array64, blend: Array64): Array64 {
  const [samples = 0, width = 0] = features.shape;
  const teachers = factors.shape[0]!;
  const rows = Array.from({ length: samples }, (_, n) => {
    const powers = Array.from({ length: teachers }, (_, m) => {
      let sum = 0;
      for (let d = 0; d < width; d++)
        sum += blend.data[d]! * features.data[n * width + d]! * factors.data[m * width + d]!;
      return Math.exp(sum);
    });
    const total = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / total);
  });
  return { shape: [samples, teachers], data: Float64Array.from(rows.flat()) };
}

/** softmax(z / T) over the classes of [N,C,...]. */
export function softened({ shape, data }: Array64, temperature: number): Array64 {
  const [batch = 1, classes = 1] = shape;
  const voxels = data.length / batch / classes;
  const out = new Float64Array(data.length);
  for (let i = 0; i < batch * voxels; i++) {
    const at = (c: number) => (Math.floor(i / voxels) * classes + c) * voxels + (i % voxels);
    let largest = -Infinity;
    for (let c = 0; c < classes; c++) largest = Math.max(largest, data[at(c)]!);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp((data[at(c)]! - largest) / temperature);
    for (let c = 0; c < classes; c++) out[at(c)] = Math.exp((data[at(c)]! - largest) / temperature) / sum;
  }
  return { shape, data: out };
}

/** Σ_m w_nm softmax(z_m / T). */
export function teacherMixture(logits: readonly Array64[], w: Array64, temperature: number): Array64 {
  const { shape } = logits[0]!;
  const parts = logits.map((z) => softened(z, temperature).data);
  const sample = parts[0]!.length / shape[0]!;
  const weight = (i: number, m: number) => w.data[Math.floor(i / sample) * logits.length + m]!;
  const data = parts[0]!.map((_, i) => parts.reduce((sum, part, m) => sum + weight(i, m) * part[i]!, 0));
  return { shape, data };
}

/** The mean of q (log q - log p) - q + p, with p = softmax(z / T). */
export function mixtureDivergence(z: Array64, q: Array64, temperature: number): Array64 {
  const p = softened(z, temperature).data;
  const terms = p.map((value, i) => q.data[i]! * Math.log(q.data[i]! / value) - q.data[i]! + value);
  return scalar(terms.reduce((a, b) => a + b, 0) / p.length);
}

/** The mean smooth L1 of the differences of the cosines of all triples of rows. */
export function angleLoss(s: Array64, t: Array64): Array64 {
  const width = s.shape.at(-1)!;
  const rows = s.data.length / width;
  const cosines = ({ data }: Array64) => {
    const direction = (i: number, j: number) => {
      const d = Array.from({ length: width }, (_, f) => data[j * width + f]! - data[i * width + f]!);
      const length = Math.max(Math.hypot(...d), 1e-12);
      return d.map((value) => value / length);
    };
    const all: number[] = [];
    for (let i = 0; i < rows; i++) {
      const n = Array.from({ length: rows }, (_, j) => direction(i, j));
      for (const a of n) for (const b of n) all.push(a.reduce((sum, value, f) => sum + value * b[f]!, 0));
    }
    return all;
  };
  const given = cosines(t);
  const terms = cosines(s).map((value, i) => {
    const e = Math.abs(value - given[i]!);
    return e < 1 ? (e * e) / 2 : e - 0.5;
  });
  return scalar(terms.reduce((a, b) => a + b, 0) / rows ** 3);
}

/** x / max(‖x‖, 1e-12) over the channels of each voxel. */
export function normaliseChannels({ shape, data }: Array64): Array64 {
  const [batch = 1, channels = 1] = shape;
  const voxels = data.length / batch / channels;
  const out = data.map((value, i) => {
    const n = Math.floor(i / (channels * voxels));
    let square = 0;
    for (let c = 0; c < channels; c++) square += data[(n * channels + c) * voxels + (i % voxels)]! ** 2;
    return value / Math.max(Math.sqrt(square), 1e-12);
  });
  return { shape, data: out };
}
