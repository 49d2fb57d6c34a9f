// The losses of overlapping regions and of whole feature maps in float64, written from their formulas alone.

import type { Array64 } from "../gradcheck.ts";

const scalar = (value: number): Array64 => ({ shape: [], data: Float64Array.of(value) });

/** Batch, channels and voxels of x [N,C,...]. */
function extent({ shape }: Array64) {
  const [batch = 1, channels = 1, ...size] = shape;
  return { batch, channels, size, voxels: size.reduce((a, b) => a * b, 1) };
}

function logSumExp(values: readonly number[]): number {
  const largest = values.reduce((a, b) => Math.max(a, b));
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** log Σ exp z over the region's classes, less that over the others. */
export function regionLogits(logits: Array64, regions: readonly (readonly number[])[]): Array64 {
  const { batch, channels, size, voxels } = extent(logits);
  const data = new Float64Array(batch * regions.length * voxels);
  let at = 0;
  for (let n = 0; n < batch; n++) {
    for (const region of regions) {
      for (let v = 0; v < voxels; v++) {
        const z = Array.from({ length: channels }, (_, c) => logits.data[(n * channels + c) * voxels + v]!);
        const inside = z.filter((_, c) => region.includes(c));
        const outside = z.filter((_, c) => !region.includes(c));
        data[at++] = logSumExp(inside) - logSumExp(outside);
      }
    }
  }
  return { shape: [batch, regions.length, ...size], data };
}

/** The softmax probability of each region at a temperature: sigmoid(regionLogits / T). */
export function regionProbabilities(
  logits: Array64,
  regions: readonly (readonly number[])[],
  temperature = 1,
): Array64 {
  const { shape, data } = regionLogits(logits, regions);
  return { shape, data: data.map((l) => sigmoid(l / temperature)) };
}

/** The class of the largest logit in each voxel, the first of equals. */
export function likeliestClasses({ shape, data }: Array64): Array64 {
  const [batch = 1, classes = 1, ...size] = shape;
  const voxels = data.length / batch / classes;
  const likeliest = Float64Array.from({ length: batch * voxels }, (_, i) => {
    const [n, v] = [Math.floor(i / voxels), i % voxels];
    const values = Array.from({ length: classes }, (_, c) => data[(n * classes + c) * voxels + v]!);
    return values.indexOf(Math.max(...values));
  });
  return { shape: [batch, ...size], data: likeliest };
}

/** 1 in a region's voxels, else 0. */
export function regionMasks(label: Array64, regions: readonly (readonly number[])[]): Array64 {
  const [batch = 1, ...size] = label.shape;
  const voxels = label.data.length / batch;
  const rows = Array.from({ length: batch }, (_, n) => label.data.subarray(n * voxels, (n + 1) * voxels));
  const data = rows.flatMap((row) =>
    regions.flatMap((region) => Array.from(row, (c) => Number(region.includes(c)))),
  );
  return { shape: [batch, regions.length, ...size], data: Float64Array.from(data) };
}

/** The mean of -t log p - (1 - t) log(1 - p), p = sigmoid(x / T). */
export function binaryCrossEntropy(logits: Array64, targets: Array64, temperature = 1): Array64 {
  const sum = logits.data.reduce((total, x, i) => {
    const [z, t] = [x / temperature, targets.data[i]!];
    return (
      total + t * Math.log1p(Math.exp(-z)) + (1 - t) * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))))
    );
  }, 0);
  return scalar(sum / logits.data.length);
}

/** The mean over channels of 1 - (2 Σ p t + smooth) / (Σ p² + Σ t² + smooth). */
export function softDice(logits: Array64, targets: Array64, temperature = 1, smooth = 1e-5): Array64 {
  const { channels, voxels } = extent(logits);
  const overlap = new Float64Array(channels);
  const all = new Float64Array(channels);
  logits.data.forEach((x, i) => {
    const c = Math.floor(i / voxels) % channels;
    const [p, t] = [sigmoid(x / temperature), targets.data[i]!];
    overlap[c]! += 2 * p * t;
    all[c]! += p * p + t * t;
  });
  return scalar(all.reduce((sum, a, c) => sum + 1 - (overlap[c]! + smooth) / (a + smooth), 0) / channels);
}

/** The mean over samples of Σ q (log q - log p) over all their elements: softmaxes of teacher and student. */
export function featureDivergence(student: Array64, teacher: Array64): Array64 {
  const { batch } = extent(student);
  const elements = student.data.length / batch;
  let sum = 0;
  for (let n = 0; n < batch; n++) {
    const logs = [student, teacher].map(({ data }) => {
      const own = [...data.subarray(n * elements, (n + 1) * elements)];
      const normaliser = logSumExp(own);
      return own.map((value) => value - normaliser);
    });
    logs[1]!.forEach((log, i) => (sum += Math.exp(log) * (log - logs[0]![i]!)));
  }
  return scalar(sum / batch);
}
