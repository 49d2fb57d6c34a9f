// The mean of differences that are paired by case, over several trainings: a linear mixed model with random
// intercepts,
//
//     d(s,c) = mu + b(s) + b(c) + e(s,c),
//
// of the training s (its seed, or its data set) and the test case c, fitted by restricted maximum likelihood
// (REML). It asks whether mu, the difference on further cases by further trainings, is 0. The mean divided by
// its standard error is compared with Student's t, whose degrees of freedom are Satterthwaite's (Biometrics
// Bulletin 2, 110-114, 1946). Balanced designs have exact solutions by sums of squares (Searle, Casella,
// McCulloch: Variance Components, 1992, chapter 4): variances that would be negative are 0, and their sum of
// squares is pooled with the rest's.
//
// The hierarchical bootstrap over trainings and cases is the usual alternative. In simulations without an
// effect (24 cases; the variance of trainings 0 to 1 of the rest's) it finds one in up to 20 % of studies of
// three trainings, for it draws from three values only; this model in at most 8 %, with five in at most 6 %.
// With two trainings it is up to 13 %: use three or more.

import type { Interval } from "./statistics.ts";
import { tQuantile, tTest } from "./studentT.ts";

/** The variance of a difference by its source: the training, the case, and what the two do not explain. */
export interface Variances {
  training: number;
  case: number;
  rest: number;
}

/** The number of trainings, and of test cases: of all together, where each training has its own. */
export interface Design {
  trainings: number;
  cases: number;
  /** All trainings are tested on the same cases. */
  shared: boolean;
}

/** A mean difference, and how sure it is. */
export interface MixedMean {
  mean: number;
  /** The standard error of the mean, and its degrees of freedom. */
  error: number;
  df: number;
  /** Two-sided, of the hypothesis that the mean is 0. */
  p: number;
  /** 95 %. */
  interval: Interval;
  variances: Variances;
  design: Design;
}

/** The sum of squares of a source of variance, and its degrees of freedom. */
interface Stratum {
  squares: number;
  df: number;
}

/** The mean square that a source of variance leads to. */
interface Level {
  square: number;
  df: number;
  /** Pooled with the rest, because the source's own variance is 0. */
  pooled: boolean;
}

const LEVEL = 0.95;

/**
 * The mean of a table of trainings [S] by cases [C], all tested on the same cases. Throws for a table without
 * two cases, or whose rows have different lengths. One training alone gives the paired t test over cases,
 * which says nothing about further trainings.
 */
export function crossedMean(table: readonly (readonly number[])[]): MixedMean {
  const [trainings, cases] = [table.length, table[0]?.length ?? 0];
  if (cases < 2 || table.some((row) => row.length !== cases))
    throw new Error(`crossedMean: expected rows of the same 2 or more cases, got ${cases}`);
  const mean = meanOf(table.flat());
  const byTraining = table.map(meanOf);
  const byCase = Array.from({ length: cases }, (_, c) => meanOf(table.map((row) => row[c]!)));
  const residuals = table.flatMap((row, s) =>
    row.map((value, c) => value - byTraining[s]! - byCase[c]! + mean),
  );
  const strata = {
    training: { squares: cases * squaresAround(byTraining, mean), df: trainings - 1 },
    case: { squares: trainings * squaresAround(byCase, mean), df: cases - 1 },
    rest: { squares: squaresAround(residuals, 0), df: (trainings - 1) * (cases - 1) },
  };
  const levels =
    trainings > 1
      ? crossedLevels(strata)
      : alone({ square: strata.case.squares / strata.case.df, df: strata.case.df });
  const rest = levels.rest.square;
  return estimate(mean, levels, {
    design: { trainings, cases, shared: true },
    variances: {
      training: Math.max(0, levels.training.square - rest) / cases,
      case: Math.max(0, levels.case.square - rest) / trainings,
      rest,
    },
  });
}

/**
 * The mean of trainings that are tested on cases of their own; a case's variance is then part of the rest.
 * Where their numbers of cases differ, the model's variances and mean come from a search. Throws for fewer
 * than two trainings, or for one without cases.
 */
export function nestedMean(groups: readonly (readonly number[])[]): MixedMean {
  const sizes = groups.map((values) => values.length);
  if (groups.length < 2 || sizes.includes(0))
    throw new Error(`nestedMean: expected cases of 2 or more trainings, got ${sizes.join(", ")}`);
  const cases = sizes.reduce((sum, size) => sum + size, 0);
  const means = groups.map(meanOf);
  const within = groups.reduce((sum, values, s) => sum + squaresAround(values, means[s]!), 0);
  const fit = (ratio: number) => nestedFit({ sizes, means, within }, ratio);
  const ratio = least((x) => fit(x).deviance);
  const { mean, rest } = fit(ratio);
  const variances = { training: ratio * rest, case: 0, rest };
  const design = { trainings: groups.length, cases, shared: false };
  const df = ratio > 0 ? groups.length - 1 : cases - 1;
  return tested({ mean, error: nestedError(design, variances, sizes), df, variances, design });
}

/**
 * The standard error that a design's mean has where the variances are known, and the degrees of freedom to
 * plan with: those of a study that does not know beforehand that a variance is 0.
 */
export function errorOf(design: Design, variances: Variances): { error: number; df: number } {
  const { trainings, cases, shared } = design;
  const { training, rest } = variances;
  if (!shared) return { error: nestedError(design, variances), df: trainings - 1 };
  const byCase = { square: rest + trainings * variances.case, df: cases - 1, pooled: false };
  if (trainings === 1) return errorOfLevels(alone(byCase), cases);
  const levels = {
    training: { square: rest + cases * training, df: trainings - 1, pooled: false },
    case: byCase,
    rest: { square: rest, df: (trainings - 1) * (cases - 1), pooled: false },
  };
  return errorOfLevels(levels, trainings * cases);
}

/**
 * The smallest difference that a design shows with the given power at the two-sided level alpha:
 * (t(1 - alpha/2) + t(power)) times the standard error (Bloom, Evaluation Review 19, 547-556, 1995).
 */
export function detectable(
  design: Design,
  variances: Variances,
  { alpha = 0.05, power = 0.8 }: { alpha?: number; power?: number } = {},
): number {
  const { error, df } = errorOf(design, variances);
  return (tQuantile(1 - alpha / 2, df) + tQuantile(power, df)) * error;
}

/** The most cases or trainings that are worth naming: nobody has more. */
const MOST = 10_000;

/**
 * The number of cases, with as many trainings, with which a difference could be shown; null where further
 * cases never suffice, for the trainings differ too much.
 */
export function casesNeeded(
  { design, variances }: Pick<MixedMean, "design" | "variances">,
  difference: number,
  level: { alpha?: number; power?: number } = {},
): number | null {
  const per = design.shared ? 1 : design.trainings;
  const enough = (n: number) => detectable({ ...design, cases: n * per }, variances, level) <= difference;
  const found = smallest(2, enough);
  return found === null ? null : found * per;
}

/**
 * The size of a study, with as many times more cases as trainings, with which a difference could be shown;
 * null for a difference that is too small.
 */
export function sizeNeeded(
  { design, variances }: Pick<MixedMean, "design" | "variances">,
  difference: number,
  level: { alpha?: number; power?: number } = {},
): Pick<Design, "cases" | "trainings"> | null {
  const { trainings, cases, shared } = design;
  const sizeOf = (n: number) => ({ trainings: n, cases: Math.ceil((n * cases) / trainings) });
  const found = smallest(2, (n) => detectable({ shared, ...sizeOf(n) }, variances, level) <= difference);
  return found === null ? null : sizeOf(found);
}

/** The smallest whole number from `first` on that is enough, by bisection; null where MOST is not. */
function smallest(first: number, enough: (n: number) => boolean): number | null {
  if (!enough(MOST)) return null;
  let [low, high] = [first - 1, MOST];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (enough(middle)) high = middle;
    else low = middle;
  }
  return high;
}

type Levels = Record<keyof Variances, Level>;

/** REML's mean squares of a crossed design: that of a source is at least the rest's, else both are pooled. */
function crossedLevels(strata: Record<keyof Variances, Stratum>): Levels {
  const square = ({ squares, df }: Stratum) => squares / df;
  const [first, second] = (["training", "case"] as const).toSorted(
    (a, b) => square(strata[a]) - square(strata[b]),
  ) as ["training" | "case", "training" | "case"];
  let rest = strata.rest;
  const pooled = { training: false, case: false };
  for (const source of [first, second]) {
    if (square(strata[source]) >= square(rest)) break;
    rest = { squares: rest.squares + strata[source].squares, df: rest.df + strata[source].df };
    pooled[source] = true;
  }
  const levelOf = (source: "training" | "case"): Level =>
    pooled[source]
      ? { square: square(rest), df: strata[source].df, pooled: true }
      : { square: square(strata[source]), df: strata[source].df, pooled: false };
  return {
    training: levelOf("training"),
    case: levelOf("case"),
    rest: { square: square(rest), df: rest.df, pooled: false },
  };
}

/** One training: cases differ, and nothing else can be known. */
function alone({ square, df }: Omit<Level, "pooled">): Levels {
  const level = { square, df, pooled: true };
  return { training: level, case: level, rest: level };
}

/** The variance of the mean is (training + case - rest) / n in mean squares. */
function errorOfLevels({ training, case: byCase, rest }: Levels, n: number): { error: number; df: number } {
  const variance = training.square + byCase.square - rest.square;
  const parts = [training, byCase].filter(({ pooled }) => !pooled);
  const error = Math.sqrt(variance / n);
  if (parts.length === 0) return { error, df: rest.df };
  if (parts.length === 1) return { error, df: parts[0]!.df };
  const spread = [...parts, rest].reduce((sum, { square, df }) => sum + square ** 2 / df, 0);
  return { error, df: spread > 0 ? variance ** 2 / spread : rest.df };
}

function estimate(mean: number, levels: Levels, known: Pick<MixedMean, "design" | "variances">): MixedMean {
  const { trainings, cases } = known.design;
  return tested({ mean, ...errorOfLevels(levels, trainings * cases), ...known });
}

/** Adds the test and the interval. Differences that are all the same have an error of 0. */
function tested(found: Omit<MixedMean, "p" | "interval">): MixedMean {
  const { mean, error, df } = found;
  const p = error > 0 ? tTest(mean / error, df) : mean === 0 ? 1 : 0;
  const half = error > 0 ? tQuantile((1 + LEVEL) / 2, df) * error : 0;
  return { ...found, p, interval: { low: mean - half, high: mean + half } };
}

/** The best mean and variance for a ratio of the trainings' variance to the rest's, and -2 log likelihood. */
function nestedFit(
  { sizes, means, within }: { sizes: readonly number[]; means: readonly number[]; within: number },
  ratio: number,
): { mean: number; rest: number; deviance: number } {
  const weights = sizes.map((size) => size / (1 + size * ratio));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = weights.reduce((sum, weight, s) => sum + weight * means[s]!, 0) / total;
  const between = weights.reduce((sum, weight, s) => sum + weight * (means[s]! - mean) ** 2, 0);
  const df = sizes.reduce((sum, size) => sum + size, 0) - 1;
  const rest = Math.max((within + between) / df, Number.MIN_VALUE); // where all differences are the same
  const spread = sizes.reduce((sum, size) => sum + Math.log(1 + size * ratio), 0);
  return { mean, rest, deviance: df * Math.log(rest) + spread + Math.log(total) };
}

function nestedError(
  { trainings, cases }: Design,
  { training, rest }: Variances,
  sizes: readonly number[] = new Array<number>(trainings).fill(cases / trainings),
): number {
  return Math.sqrt(1 / sizes.reduce((sum, size) => sum + 1 / (training + rest / size), 0));
}

/** The x >= 0 where a function with one minimum is least: bisection of its logarithm, or 0. */
function least(of: (x: number) => number): number {
  let [low, high] = [-20, 20];
  const at = (x: number) => of(Math.exp(x));
  const golden = (Math.sqrt(5) - 1) / 2;
  for (let i = 0; i < 90; i++) {
    const [a, b] = [high - golden * (high - low), low + golden * (high - low)];
    if (at(a) < at(b)) high = b;
    else low = a;
  }
  const found = Math.exp((low + high) / 2);
  return of(0) <= of(found) ? 0 : found;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function squaresAround(values: readonly number[], centre: number): number {
  return values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
}
