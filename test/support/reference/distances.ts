// Losses between representations in float64, straight from their formulas.

import type { Array64 } from "../gradcheck.ts";

const scalar = (value: number): Array64 => ({ shape: [], data: Float64Array.of(value) });

/** x · weightᵀ + bias. */
export function linear(x: Array64, weight: Array64, bias?: Array64): Array64 {
  const [rows = 0, inputs = 0] = x.shape;
  const outputs = weight.shape[0]!;
  const data = new Float64Array(rows * outputs);
  for (let n = 0; n < rows; n++) {
    for (let o = 0; o < outputs; o++) {
      let sum = bias?.data[o] ?? 0;
      for (let i = 0; i < inputs; i++) sum += x.data[n * inputs + i]! * weight.data[o * inputs + i]!;
      data[n * outputs + o] = sum;
    }
  }
  return { shape: [rows, outputs], data };
}

/** Mean and √(variance + eps) of each channel of each sample. */
export function channelStatistics(x: Array64, eps = 1e-5): Array64 {
  const [batch = 1, channels = 1] = x.shape;
  const voxels = x.data.length / batch / channels;
  const data = Array.from({ length: batch * channels }, (_, row) =>
    moments(Array.from(x.data.subarray(row * voxels, (row + 1) * voxels)), eps),
  );
  return { shape: [batch, channels, 2], data: Float64Array.from(data.flat()) };
}

/** The mean over samples and channels of the squared differences of both statistics. */
export function statisticsL2(a: Array64, b: Array64): Array64 {
  const [p, q] = [channelStatistics(a).data, channelStatistics(b).data];
  return scalar(p.reduce((sum, value, i) => sum + (value - q[i]!) ** 2, 0) / (p.length / 2));
}

/** x with the mean and the deviation of `style` in each channel of each sample. */
export function adain(x: Array64, style: Array64): Array64 {
  const [own, wanted] = [channelStatistics(x).data, channelStatistics(style).data];
  const voxels = x.data.length / (own.length / 2);
  const data = x.data.map((value, i) => {
    const row = 2 * Math.floor(i / voxels);
    return (wanted[row + 1]! * (value - own[row]!)) / own[row + 1]! + wanted[row]!;
  });
  return { shape: x.shape, data };
}

/** Σ (1 - C_ii)² + lambda Σ_{i≠j} C_ij², C the correlation of columns standardised over rows. */
export function barlowTwins(a: Array64, b: Array64, lambda = 0.0051, eps = 1e-5): Array64 {
  const [rows = 0, width = 0] = a.shape;
  const columns = ({ data }: Array64) =>
    Array.from({ length: width }, (_, i) => {
      const column = Array.from({ length: rows }, (_, n) => data[n * width + i]!);
      const [mean, deviation] = moments(column, eps);
      return column.map((value) => (value - mean) / deviation);
    });
  const [p, q] = [columns(a), columns(b)];
  let sum = 0;
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < width; j++) {
      const correlation = p[i]!.reduce((s, value, n) => s + value * q[j]![n]!, 0) / rows;
      sum += i === j ? (1 - correlation) ** 2 : lambda * correlation ** 2;
    }
  }
  return scalar(sum);
}

/** Σ x / (voxels + eps) over each class's voxels of all samples. */
export function classMeans(x: Array64, label: Array64, classes: number, eps = 1e-6): Array64 {
  const [, channels = 1] = x.shape;
  const voxels = label.data.length / label.shape[0]!;
  const sums = new Float64Array(classes * channels);
  const counts = new Float64Array(classes);
  label.data.forEach((k) => counts[k]!++);
  x.data.forEach((value, i) => {
    const row = Math.floor(i / voxels);
    const k = label.data[Math.floor(row / channels) * voxels + (i % voxels)]!;
    sums[k * channels + (row % channels)]! += value;
  });
  return {
    shape: [classes, channels],
    data: sums.map((s, i) => s / (counts[Math.floor(i / channels)]! + eps)),
  };
}

/**
 * The mean over classes of ½ KL(p ‖ q) + ½ KL(q ‖ p), p and q the softmax of the class means divided by T;
 * with `skip` over the classes that both batches have.
 */
export function classLevelKl(
  logits: readonly Array64[],
  labels: readonly Array64[],
  temperature = 2,
  skip = true,
): Array64 {
  const classes = logits[0]!.shape[1]!;
  const rows = Array.from({ length: classes }, (_, k) => k).filter(
    (k) => !skip || labels.every(({ data }) => data.includes(k)),
  );
  const [p, q] = logits.map((z, i) => {
    const { data } = classMeans(z, labels[i]!, classes);
    return rows.flatMap((k) => {
      const powers = Array.from(data.subarray(k * classes, (k + 1) * classes), (m) =>
        Math.exp(m / temperature),
      );
      const sum = powers.reduce((s, value) => s + value, 0);
      return powers.map((value) => value / sum);
    });
  }) as [number[], number[]];
  const divergence = (one: number[], other: number[]) =>
    one.reduce((sum, value, i) => sum + value * Math.log(value / other[i]!), 0);
  return scalar((divergence(p, q) + divergence(q, p)) / 2 / Math.max(1, rows.length));
}

function moments(values: number[], eps: number): [mean: number, deviation: number] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return [mean, Math.sqrt(variance + eps)];
}
