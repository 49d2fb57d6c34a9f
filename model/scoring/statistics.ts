// Statistics of scores over cases and over runs: mean and deviation, bootstrap intervals, Wilcoxon's test of
// paired differences, Holm's correction. Pure functions; random draws come from a seed.

import { Random } from "../../engine/autograd/random.ts";

/** The mean and sample standard deviation (divisor n - 1; NaN for n < 2) of the n values that are not NaN. */
export interface Spread {
  mean: number;
  deviation: number;
  n: number;
}

/** The ends of a confidence interval; NaN for fewer than two values. */
export interface Interval {
  low: number;
  high: number;
}

/** The result of Wilcoxon's signed-rank test of paired differences. */
export interface SignedRank {
  /** The smaller of the sums of the ranks of positive and of negative differences. */
  statistic: number;
  /** Two-sided; 1 if all differences are 0. */
  p: number;
  /** The number of differences that are not 0; only these are ranked. */
  n: number;
  /**
   * True if p comes from all 2^n signs; else from the normal approximation, corrected for ties and
   * continuity.
   */
  exact: boolean;
}

/** Bootstrap intervals are percentiles of the means of `draws` samples with replacement. */
export const BOOTSTRAP = { draws: 10_000, level: 0.95, seed: 12345 } as const;

const EXACT = 200; // the most differences for the exact test, whose time grows with their cube
const EQUAL = 1e12; // differences are rounded to 1/EQUAL, for subtraction leaves noise that breaks ties

/** The mean and deviation of the values that are not NaN. */
export function spread(values: readonly number[]): Spread {
  const seen = values.filter((value) => !Number.isNaN(value));
  const n = seen.length;
  const mean = seen.reduce((sum, value) => sum + value, 0) / n;
  const squares = seen.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: n > 1 ? Math.sqrt(squares / (n - 1)) : NaN, n };
}

/**
 * Percentile bootstrap intervals of the means of several columns over the same rows, such as cases: each draw
 * takes the same rows of all columns. Means skip NaN, and a draw with only NaN in a column does not count for
 * it.
 */
export function bootstrapMeans(
  columns: readonly (readonly number[])[],
  options: Partial<{ draws: number; level: number; seed: number }> = {},
): Interval[] {
  const { draws, level, seed } = { ...BOOTSTRAP, ...options };
  const rows = columns[0]?.length ?? 0;
  const random = new Random(seed);
  const means = columns.map((): number[] => []);
  const drawn = new Uint32Array(rows);
  for (let draw = 0; draw < draws; draw++) {
    for (let i = 0; i < rows; i++) drawn[i] = random.integer(rows);
    for (const [c, column] of columns.entries()) {
      let [sum, n] = [0, 0];
      for (const row of drawn) {
        const value = column[row]!;
        if (Number.isNaN(value)) continue;
        sum += value;
        n++;
      }
      if (n > 0) means[c]!.push(sum / n);
    }
  }
  return columns.map((column, c) => {
    if (spread(column).n < 2) return { low: NaN, high: NaN };
    const sorted = means[c]!.sort((a, b) => a - b);
    const tail = (1 - level) / 2;
    return { low: quantile(sorted, tail), high: quantile(sorted, 1 - tail) };
  });
}

/** The quantile q, from 0 to 1, of sorted values, interpolated linearly: NumPy's default, bit for bit. */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  const at = q * (sorted.length - 1);
  const [a, b] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  const t = at - Math.floor(at);
  return t < 0.5 ? a + (b - a) * t : b - (b - a) * (1 - t);
}

/**
 * Wilcoxon's signed-rank test of the hypothesis that paired differences are symmetric around 0. Zeros are
 * dropped, as Wilcoxon does, and NaN too; equal sizes share their mean rank, which the exact p takes into
 * account.
 */
export function signedRank(differences: readonly number[]): SignedRank {
  const rounded = differences.map((value) => Math.round(value * EQUAL) / EQUAL);
  const kept = rounded.filter((value) => value !== 0 && !Number.isNaN(value));
  const n = kept.length;
  if (n === 0) return { statistic: 0, p: 1, n, exact: true };
  const doubled = doubledRanks(kept.map(Math.abs)); // integers, even for shared ranks
  const all = n * (n + 1); // the sum of the doubled ranks
  const positive = doubled.reduce((sum, rank, i) => sum + (kept[i]! > 0 ? rank : 0), 0);
  const smaller = Math.min(positive, all - positive);
  const exact = n <= EXACT;
  const tail = exact ? exactTail(doubled, smaller) : normalTail(doubled, smaller);
  return { statistic: smaller / 2, p: Math.min(1, 2 * tail), n, exact };
}

/** The smallest p that n differences can have, when all have one sign: 2 / 2^n. */
export function leastP(n: number): number {
  return Math.min(1, 2 ** (1 - n));
}

/** p values with Holm's step-down correction for multiple comparisons, in the order given. */
export function holm(ps: readonly number[]): number[] {
  const order = ps.map((_, i) => i).sort((a, b) => ps[a]! - ps[b]!);
  const adjusted = new Array<number>(ps.length);
  let largest = 0;
  for (const [rank, i] of order.entries()) {
    largest = Math.max(largest, Math.min(1, (ps.length - rank) * ps[i]!));
    adjusted[i] = largest;
  }
  return adjusted;
}

/** Twice the rank of each size, counted from 1; equal sizes share the mean of their ranks. */
function doubledRanks(sizes: readonly number[]): number[] {
  return sizes.map((size) => {
    const less = sizes.filter((other) => other < size).length;
    const equal = sizes.filter((other) => other === size).length;
    return 2 * less + equal + 1;
  });
}

/** The share of all combinations of signs whose positive ranks add up to at most `limit`. */
function exactTail(doubled: readonly number[], limit: number): number {
  const total = doubled.reduce((sum, rank) => sum + rank, 0);
  const share = new Float64Array(total + 1); // of the signs seen so far, by the sum of positive ranks
  share[0] = 1;
  for (const rank of doubled) {
    for (let sum = total; sum >= 0; sum--)
      share[sum] = (share[sum]! + (sum >= rank ? share[sum - rank]! : 0)) / 2;
  }
  return share.subarray(0, limit + 1).reduce((sum, part) => sum + part, 0);
}

/** The same by the normal approximation; the continuity correction of half a rank is 1 in doubled ranks. */
function normalTail(doubled: readonly number[], limit: number): number {
  const mean = doubled.reduce((sum, rank) => sum + rank, 0) / 2;
  const variance = doubled.reduce((sum, rank) => sum + rank * rank, 0) / 4;
  return normalBelow((limit + 1 - mean) / Math.sqrt(variance));
}

/** P(Z <= z) of the standard normal distribution: a series near 0, and a continued fraction beyond. */
function normalBelow(z: number): number {
  const x = Math.abs(z);
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  let upper: number;
  if (x < 2) {
    let [term, sum] = [x, x]; // Phi(x) = 1/2 + density (x + x^3/3 + x^5/15 + ...)
    for (let k = 1; k < 60; k++) sum += term *= (x * x) / (2 * k + 1);
    upper = 0.5 - density * sum;
  } else {
    let fraction = x; // Laplace: density / (x + 1/(x + 2/(x + 3/(x + ...))))
    for (let k = 100; k >= 1; k--) fraction = x + k / fraction;
    upper = density / fraction;
  }
  return z <= 0 ? upper : 1 - upper;
}
