// The position of a training run: all that resuming needs beside tensors and the sources' states to end with
// the same bits.

import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));

/** The schema of a position, which is stored as JSON. */
export const PositionSchema = v.object({
  /** The epoch in progress, counted from 1; after the last epoch, their number plus 1. */
  epoch: v.pipe(count, v.minValue(1)),
  /** Steps of the epoch done so far. */
  done: count,
  /**
   * The sums of their losses by term, over `counted` steps; skipped steps do not count. Numbers that a step
   * observed are among them, with the prefix OBSERVED.
   */
  sums: v.custom<Record<string, number>>(isNumbers), // v.record() would drop the term "prototype"
  counted: count,
  /** The steps that had a term; older states lack it, in which every step had every term. */
  counts: v.optional(v.custom<Record<string, number>>(isNumbers), {}),
  skipped: count,
  /** Steps skipped in a row. */
  skippedInRow: count,
  /** Seconds of the epoch so far, of its waiting for batches, and of the whole training. */
  seconds: amount,
  waited: amount,
  total: amount,
  /** The best score of a validation, and the number of validations since then. */
  best: v.nullable(v.pipe(v.number(), v.finite())),
  idle: count,
  /** The exponential moving average of validations; each new one counts a tenth, as in nnU-Net. */
  average: v.nullable(v.pipe(v.number(), v.finite())),
  /** Optimizer steps by group. */
  updates: v.custom<Record<string, number>>(isNumbers),
});

export type Position = v.InferOutput<typeof PositionSchema>;

function isNumbers(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.values(value).every(Number.isFinite);
}

/** The position at the beginning of a run. */
export function beginning(): Position {
  return {
    epoch: 1,
    done: 0,
    sums: {},
    counted: 0,
    counts: {},
    skipped: 0,
    skippedInRow: 0,
    seconds: 0,
    waited: 0,
    total: 0,
    best: null,
    idle: 0,
    average: null,
    updates: {},
  };
}

/** The position at the beginning of the next epoch. */
export function nextEpoch({ epoch, skippedInRow, total, best, idle, average, updates }: Position): Position {
  return { ...beginning(), epoch: epoch + 1, skippedInRow, total, best, idle, average, updates };
}

/** The prefix of numbers that nothing minimises, among the sums and the numbers that are read of a step. */
export const OBSERVED = "observed/";

/** Adds the losses of a step that was not skipped, and what it observed. */
export function addLosses(
  at: Position,
  losses: Readonly<Record<string, number>>,
  { observed = {} }: { observed?: Readonly<Record<string, number>> } = {},
): void {
  const prefixed = Object.entries(observed).map(([name, mean]) => [OBSERVED + name, mean] as const);
  const added: Record<string, number> = { ...losses, ...Object.fromEntries(prefixed) };
  for (const name of Object.keys({ ...at.sums, ...added })) at.counts[name] = stepsWith(at, name);
  for (const [name, value] of Object.entries(added)) {
    at.counts[name]!++;
    at.sums[name] = (at.sums[name] ?? 0) + value;
  }
  at.counted++;
}

/** Returns the mean of each term over the steps that had it. */
export function meanLosses(at: Position): Record<string, number> {
  return meansOf(at, (name) => (name.startsWith(OBSERVED) ? null : name));
}

/** Returns the mean of each number that steps observed, over those that did. */
export function meanObserved(at: Position): Record<string, number> {
  return meansOf(at, (name) => (name.startsWith(OBSERVED) ? name.slice(OBSERVED.length) : null));
}

/** The means of those sums that `nameOf` does not return null for, by the names that it returns. */
function meansOf(at: Position, nameOf: (key: string) => string | null): Record<string, number> {
  const means = Object.entries(at.sums).flatMap(([key, sum]) => {
    const name = nameOf(key);
    return name === null ? [] : [[name, sum / stepsWith(at, key)] as const];
  });
  return Object.fromEntries(means);
}

function stepsWith({ sums, counts, counted }: Position, name: string): number {
  return counts[name] ?? (name in sums ? counted : 0);
}

/**
 * The score that decides on the best network: a validation's mean ("dice"), or its moving average ("ema").
 */
export type BestBy = "dice" | "ema";

const INERTIA = 0.9; // of the moving average, as in nnU-Net

/**
 * Updates the best score, the moving average and the count of idle validations for a validation with this
 * mean score; `better`: the network is the best so far. Between equal scores the later network is the best,
 * as in the published code, but it still counts as idle. A mean of NaN is never the best.
 */
export function judge(
  { best, idle, average }: Pick<Position, "best" | "idle" | "average">,
  mean: number,
  by: BestBy = "dice",
  order: "higher" | "lower" = "higher",
): { better: boolean; best: number | null; idle: number; average: number | null } {
  if (!Number.isFinite(mean)) return { better: false, best, idle: idle + 1, average };
  average = average === null ? mean : INERTIA * average + (1 - INERTIA) * mean;
  const score = by === "ema" ? average : mean;
  const gain = best === null ? Infinity : order === "higher" ? score - best : best - score;
  return { better: gain >= 0, best: gain >= 0 ? score : best, idle: gain > 0 ? 0 : idle + 1, average };
}

/** The limits of a run; a patience or seconds of 0 mean no limit. */
export interface Limits {
  epochs: number;
  patience: number;
  maxSeconds: number;
}

/** The reason why a run is over at a position; null if it is not. */
export function over(
  { epoch, idle, total }: Position,
  { epochs, patience, maxSeconds }: Limits,
): "epochs" | "patience" | "time" | null {
  if (epoch > epochs) return "epochs";
  if (patience > 0 && idle >= patience) return "patience";
  return maxSeconds > 0 && total >= maxSeconds ? "time" : null;
}

/** The number of steps done in the whole run, skipped ones included. */
export function stepsDone({ epoch, done }: Position, stepsPerEpoch: number): number {
  return (epoch - 1) * stepsPerEpoch + done;
}
