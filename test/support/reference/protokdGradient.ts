// ProtoKD's loss in float64 with its gradients, term by term from the formulas in model/losses/losses.ts.

import type { Losses } from "../../golden/folder.ts";

/** Features [N,F,voxels] and logits [N,C,voxels]. */
export interface Output64 {
  features: Float64Array;
  logits: Float64Array;
}

export interface Extent {
  batch: number;
  channels: number;
  classes: number;
  voxels: number;
}

const KD = 10;
const PROTO = 0.1;
const T = 10;
const SMOOTH = 1e-5;
const EPS = 1e-5;

/**
 * The loss's terms with the published weights, and the gradient of their total by the student's features and
 * logits.
 */
export function protokdGradient(
  student: Output64,
  teacher: Output64,
  label: ArrayLike<number>,
  extent: Extent,
): { losses: Losses; gradient: Output64 } {
  const gradient = {
    features: new Float64Array(student.features.length),
    logits: new Float64Array(student.logits.length),
  };
  const ce = crossEntropy(student.logits, label, extent, gradient.logits);
  const dice = diceLoss(student.logits, label, extent, gradient.logits);
  const kd = pixelKd(student.logits, teacher.logits, extent, gradient.logits);
  const proto = prototypeLoss(student.features, teacher.features, label, extent, gradient.features);
  return { losses: { ce, dice, kd, proto, total: ce + dice + KD * kd + PROTO * proto }, gradient };
}

/** Calls f for every voxel with its sample, its index and the place of its channel c. */
function eachVoxel(
  { batch, voxels }: Extent,
  channels: number,
  f: (n: number, v: number, at: (c: number) => number) => void,
): void {
  for (let n = 0; n < batch; n++) {
    for (let v = 0; v < voxels; v++) f(n, n * voxels + v, (c) => (n * channels + c) * voxels + v);
  }
}

function logSoftmax(
  z: Float64Array,
  at: (c: number) => number,
  classes: number,
  temperature: number,
): number[] {
  const values = Array.from({ length: classes }, (_, c) => z[at(c)]! / temperature);
  const largest = Math.max(...values);
  const sum = largest + Math.log(values.reduce((s, value) => s + Math.exp(value - largest), 0));
  return values.map((value) => value - sum);
}

/** Σ w (-log p) / Σ w, where a class weighs 1 - its share of the voxels. */
function crossEntropy(z: Float64Array, label: ArrayLike<number>, e: Extent, dz: Float64Array): number {
  const share = new Float64Array(e.classes);
  const all = e.batch * e.voxels;
  for (let v = 0; v < all; v++) share[label[v]!]! += 1 / all;
  let total = 0;
  for (let v = 0; v < all; v++) total += 1 - share[label[v]!]!;
  let sum = 0;
  eachVoxel(e, e.classes, (_, v, at) => {
    const logs = logSoftmax(z, at, e.classes, 1);
    const weight = (1 - share[label[v]!]!) / total;
    sum -= weight * logs[label[v]!]!;
    logs.forEach((log, c) => (dz[at(c)]! += weight * (Math.exp(log) - (c === label[v] ? 1 : 0))));
  });
  return sum;
}

/** Mean over the classes of 1 - (2 Σ p g + smooth) / (Σ g² + Σ p² + smooth). */
function diceLoss(z: Float64Array, label: ArrayLike<number>, e: Extent, dz: Float64Array): number {
  const above = new Float64Array(e.classes).fill(SMOOTH);
  const below = new Float64Array(e.classes).fill(SMOOTH);
  const p = new Float64Array(z.length);
  eachVoxel(e, e.classes, (_, v, at) => {
    logSoftmax(z, at, e.classes, 1).forEach((log, c) => {
      const value = (p[at(c)] = Math.exp(log));
      const g = c === label[v] ? 1 : 0;
      above[c]! += 2 * value * g;
      below[c]! += value * value + g;
    });
  });
  eachVoxel(e, e.classes, (_, v, at) => {
    const dp = Array.from(above, (numerator, c) => {
      const g = c === label[v] ? 1 : 0;
      return -((2 * g) / below[c]! - (numerator * 2 * p[at(c)]!) / below[c]! ** 2) / e.classes;
    });
    const mean = dp.reduce((s, d, c) => s + d * p[at(c)]!, 0);
    dp.forEach((d, c) => (dz[at(c)]! += p[at(c)]! * (d - mean)));
  });
  return above.reduce((s, numerator, c) => s + 1 - numerator / below[c]!, 0) / e.classes;
}

/** Mean over voxels and classes of q (log q - log p), softened by T. */
function pixelKd(z: Float64Array, target: Float64Array, e: Extent, dz: Float64Array): number {
  let sum = 0;
  eachVoxel(e, e.classes, (_n, _v, at) => {
    const logp = logSoftmax(z, at, e.classes, T);
    logSoftmax(target, at, e.classes, T).forEach((logq, c) => {
      const q = Math.exp(logq);
      sum += (q * (logq - logp[c]!)) / z.length;
      dz[at(c)]! += (KD * (Math.exp(logp[c]!) - q)) / (T * z.length);
    });
  });
  return sum;
}

/** Mean squared difference of the cosine maps, over the classes that every sample has. */
function prototypeLoss(
  f: Float64Array,
  target: Float64Array,
  label: ArrayLike<number>,
  e: Extent,
  df: Float64Array,
): number {
  const { batch, channels: F, classes, voxels } = e;
  const counts = new Float64Array(batch * classes);
  eachVoxel(e, F, (n, v) => (counts[n * classes + label[v]!]! += 1));
  const everywhere = Array.from({ length: classes }, (_, k) => k).filter((k) =>
    Array.from({ length: batch }, (_, n) => counts[n * classes + k]!).every((count) => count > 0),
  );
  if (everywhere.length === 0) return 0;
  const own = prototypesOf(f, label, counts, e);
  const theirs = prototypesOf(target, label, counts, e);
  const dP = new Float64Array(own.length);
  const elements = batch * everywhere.length * voxels;
  let sum = 0;
  eachVoxel(e, F, (n, _, at) => {
    for (const k of everywhere) {
      const P = (n * classes + k) * F;
      const { cosine, divisor, free, square, squareP } = cosineOf(f, at, own, P, F);
      const difference = cosine - cosineOf(target, at, theirs, P, F).cosine;
      sum += difference ** 2 / elements;
      const slope = (PROTO * 2 * difference) / elements;
      const inward = free ? cosine : 0;
      for (let c = 0; c < F; c++) {
        df[at(c)]! += slope * (own[P + c]! / divisor - (inward && (inward * f[at(c)]!) / square));
        dP[P + c]! += slope * (f[at(c)]! / divisor - (inward && (inward * own[P + c]!) / squareP));
      }
    }
  });
  eachVoxel(e, F, (n, v, at) => {
    const k = n * classes + label[v]!;
    for (let c = 0; c < F; c++) df[at(c)]! += dP[k * F + c]! / (counts[k]! + EPS);
  });
  return sum;
}

/** Each class's mean of the features in each sample, [N,K,F]. */
function prototypesOf(
  f: Float64Array,
  label: ArrayLike<number>,
  counts: Float64Array,
  e: Extent,
): Float64Array {
  const P = new Float64Array(counts.length * e.channels);
  eachVoxel(e, e.channels, (n, v, at) => {
    const k = n * e.classes + label[v]!;
    for (let c = 0; c < e.channels; c++) P[k * e.channels + c]! += f[at(c)]! / (counts[k]! + EPS);
  });
  return P;
}

/** <f, P> / max(‖f‖ ‖P‖, eps), and whether ‖f‖ ‖P‖ ≥ eps. */
function cosineOf(f: Float64Array, at: (c: number) => number, P: Float64Array, start: number, F: number) {
  let product = 0;
  let square = 0;
  let squareP = 0;
  for (let c = 0; c < F; c++) {
    product += f[at(c)]! * P[start + c]!;
    square += f[at(c)]! ** 2;
    squareP += P[start + c]! ** 2;
  }
  const lengths = Math.sqrt(square * squareP);
  const divisor = Math.max(lengths, EPS);
  return { cosine: product / divisor, divisor, free: lengths >= EPS, square, squareP };
}
