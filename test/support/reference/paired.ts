// The losses of PMKL, and rows of channels, in float64, written from their formulas alone.

import type { Array64 } from "../gradcheck.ts";

const scalar = (value: number): Array64 => ({ shape: [], data: Float64Array.of(value) });

/** The elements of each sample. */
function rowsOf({ shape, data }: Array64): number[][] {
  const [rows = 1] = shape;
  const width = data.length / rows;
  return Array.from({ length: rows }, (_, n) => [...data.subarray(n * width, (n + 1) * width)]);
}

/** The channels of each voxel as a row. */
export function channelRows({ shape, data }: Array64): Array64 {
  const [batch = 1, channels = 1] = shape;
  const voxels = data.length / batch / channels;
  const values = Array.from({ length: batch * voxels }, (_, i) =>
    Array.from(
      { length: channels },
      (_, c) => data[(Math.floor(i / voxels) * channels + c) * voxels + (i % voxels)]!,
    ),
  );
  return { shape: [batch * voxels, channels], data: Float64Array.from(values.flat()) };
}

/** x / max(‖x‖, eps) of each row. */
export function normaliseRows(x: Array64, eps = 1e-12): Array64 {
  const rows = rowsOf(x).flatMap((row) => {
    const length = Math.max(Math.sqrt(row.reduce((sum, value) => sum + value * value, 0)), eps);
    return row.map((value) => value / length);
  });
  return { shape: x.shape, data: Float64Array.from(rows) };
}

/** The mean over pairs of rows of d², for one index, or max(0, margin - d)². */
export function contrastiveLoss(a: Array64, b: Array64, margin = 1): Array64 {
  const [left, right] = [rowsOf(a), rowsOf(b)];
  const pairs = left.flatMap((p, i) =>
    right.map((q, j) => {
      const square = p.reduce((sum, value, d) => sum + (value - q[d]!) ** 2, 0);
      return i === j ? square : Math.max(0, margin - Math.sqrt(square)) ** 2;
    }),
  );
  return scalar(pairs.reduce((sum, value) => sum + value, 0) / pairs.length);
}

/**
 * Σ w (-Σ_c q log max(p, clip)) / Σ w over voxels, with w = max(0, H(held) - H(targets)) where the targets'
 * largest class is the label's, else 0. `held` are logits that stay as they are where others are changed.
 */
export function maskedSoftCrossEntropy(
  logits: Array64,
  { targets, label, held }: Readonly<Record<string, Array64>>,
  temperature = 10,
  clip = 0.005,
): Array64 {
  const [batch = 1, classes = 1] = logits.shape;
  const voxels = logits.data.length / batch / classes;
  let [sum, weights] = [0, 0];
  label!.data.forEach((k, i) => {
    const at = ({ data }: Array64) =>
      Array.from(
        { length: classes },
        (_, c) => data[(Math.floor(i / voxels) * classes + c) * voxels + (i % voxels)]!,
      );
    const teacher = at(targets!);
    if (teacher.indexOf(Math.max(...teacher)) !== k) return;
    const weight = Math.max(0, logSoftmax(teacher)[k]! - logSoftmax(at(held!))[k]!);
    const [p, q] = [at(logits), teacher].map((z) => logSoftmax(z.map((value) => value / temperature)));
    const entropy = q!.reduce((total, log, c) => total - Math.exp(log) * Math.max(p![c]!, Math.log(clip)), 0);
    sum += weight * entropy;
    weights += weight;
  });
  return scalar(sum / Math.max(weights, 1e-12));
}

function logSoftmax(z: readonly number[]): number[] {
  const largest = Math.max(...z);
  const normaliser = largest + Math.log(z.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  return z.map((value) => value - normaliser);
}
