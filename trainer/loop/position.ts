// Where a training run is: all that resuming needs to end with the same bits, beside tensors and its sources' states.

import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));

/** Plain numbers, for JSON. */
export const PositionSchema = v.object({
  /** The epoch in progress, from 1; one more than there are when all are over. */
  epoch: v.pipe(count, v.minValue(1)),
  /** Its steps done so far. */
  done: count,
  /** The sums of their losses by term, over `counted` steps: skipped ones do not count. */
  sums: v.custom<Record<string, number>>(isNumbers), // v.record() would drop the term "prototype"
  counted: count,
  skipped: count,
  /** Steps skipped since the last that was not. */
  skippedInRow: count,
  /** Seconds of the epoch so far, of waiting for batches in it, and of all training. */
  seconds: amount,
  waited: amount,
  total: amount,
  /** The best score of a validation, and validations since it last improved. */
  best: v.nullable(v.pipe(v.number(), v.finite())),
  idle: count,
  /** The validations' exponential moving average; each new one counts a tenth, as in nnU-Net. */
  average: v.nullable(v.pipe(v.number(), v.finite())),
  /** Optimizer steps by group. */
  updates: v.custom<Record<string, number>>(isNumbers),
});

export type Position = v.InferOutput<typeof PositionSchema>;

function isNumbers(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.values(value).every(Number.isFinite);
}

/** The beginning of a run. */
export function beginning(): Position {
  return {
    epoch: 1,
    done: 0,
    sums: {},
    counted: 0,
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

/** Where the epoch after that of `position` begins. */
export function nextEpoch({ epoch, skippedInRow, total, best, idle, average, updates }: Position): Position {
  return { ...beginning(), epoch: epoch + 1, skippedInRow, total, best, idle, average, updates };
}

/** The score that makes a network the best: a validation's mean ("dice"), or its moving average. */
export type BestBy = "dice" | "ema";

const INERTIA = 0.9; // of the average: nnU-Net's

/**
 * The best score, the average and the validations without a better one, after one more of this mean; and whether the
 * network is the best. Between equal ones it is the later, as in the published code, but it ends no wait for a better one. A mean
 * of NaN is never the best.
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

/** The limits of a run; a patience of 0, and 0 seconds, are no limit. */
export interface Limits {
  epochs: number;
  patience: number;
  maxSeconds: number;
}

/** The reason for which a run is over at a position; null where it is not. */
export function over(
  { epoch, idle, total }: Position,
  { epochs, patience, maxSeconds }: Limits,
): "epochs" | "patience" | "time" | null {
  if (epoch > epochs) return "epochs";
  if (patience > 0 && idle >= patience) return "patience";
  return maxSeconds > 0 && total >= maxSeconds ? "time" : null;
}

/** The steps done of the whole run, skipped ones included. */
export function stepsDone({ epoch, done }: Position, stepsPerEpoch: number): number {
  return (epoch - 1) * stepsPerEpoch + done;
}
