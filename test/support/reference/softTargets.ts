// Self-distillation's targets and loss in float64, written from their formulas alone.

import type { Array64 } from "../gradcheck.ts";

/** softmax((x - center) / temperature) of each row. */
export function softTargets(x: Array64, center: Array64, temperature: number): Array64 {
  const rows = rowsOf(x).map((row) =>
    logSoftmax(row.map((value, k) => (value - center.data[k]!) / temperature)).map(Math.exp),
  );
  return { shape: x.shape, data: Float64Array.from(rows.flat()) };
}

/** The mean of each column. */
export function columnMeans(x: Array64): Array64 {
  const rows = rowsOf(x);
  const means = rows[0]!.map((_, k) => mean(rows.map((row) => row[k]!)));
  return { shape: [1, means.length], data: Float64Array.from(means) };
}

/** The mean over rows of -Σ p log p. */
export function meanEntropy(p: Array64): Array64 {
  const entropy = (row: readonly number[]) =>
    row.reduce((sum, x) => sum - (x === 0 ? 0 : x * Math.log(x)), 0);
  return scalar(mean(rowsOf(p).map(entropy)));
}

/** The mean over rows of -Σ q log softmax(logits / temperature). */
export function softCrossEntropy(logits: Array64, q: Array64, temperature: number): Array64 {
  const targets = rowsOf(q);
  const losses = rowsOf(logits).map((row, n) =>
    logSoftmax(row.map((value) => value / temperature)).reduce(
      (sum, log, k) => sum - targets[n]![k]! * log,
      0,
    ),
  );
  return scalar(mean(losses));
}

function rowsOf({ shape, data }: Array64): number[][] {
  const [rows = 1, width = 1] = shape;
  return Array.from({ length: rows }, (_, n) => [...data.subarray(n * width, (n + 1) * width)]);
}

function logSoftmax(z: readonly number[]): number[] {
  const largest = Math.max(...z);
  const normaliser = largest + Math.log(z.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  return z.map((value) => value - normaliser);
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const scalar = (value: number): Array64 => ({ shape: [], data: Float64Array.of(value) });
