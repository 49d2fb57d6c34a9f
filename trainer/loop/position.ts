// Where a training run is: all that it needs, beside tensors and the state of its sampler, to go on bit for bit.

import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));

/** Plain numbers, for JSON. */
export const PositionSchema = v.object({
  /** The epoch in progress, from 1; one more than there are when all are over. */
  epoch: v.pipe(count, v.minValue(1)),
  /** Its steps that are done. */
  done: count,
  /** The sums of their losses, by term, over those that count: not over steps that were left out. */
  sums: v.custom<Record<string, number>>(isSums), // v.record() would drop the term "prototype"
  counted: count,
  skipped: count,
  /** Steps that were left out since the last that was not. */
  skippedInRow: count,
  /** Seconds of the epoch so far, those of them that no batch was ready, and of all training. */
  seconds: amount,
  waited: amount,
  total: amount,
  /** The best score of a validation, and validations since it last rose. */
  best: v.nullable(amount),
  idle: count,
  /** The validations' exponential moving average, of which each new one is a tenth, as nnU-Net's. */
  average: v.nullable(amount),
});

export type Position = v.InferOutput<typeof PositionSchema>;

function isSums(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.values(value).every(Number.isFinite);
}

/** The beginning of a run. */
export function beginning(): Position {
  return {
    ...{ epoch: 1, done: 0, sums: {}, counted: 0, skipped: 0, skippedInRow: 0 },
    ...{ seconds: 0, waited: 0, total: 0, best: null, idle: 0, average: null },
  };
}

/** Where the epoch after that of `position` begins. */
export function nextEpoch({ epoch, skippedInRow, total, best, idle, average }: Position): Position {
  return { ...beginning(), epoch: epoch + 1, skippedInRow, total, best, idle, average };
}

/** What the best network is best in: the mean Dice of a validation, or the moving average of it. */
export type BestBy = "dice" | "ema";

const INERTIA = 0.9; // of the average: nnU-Net's

/**
 * The best, the average and the validations without a better one, after one more of this mean Dice; and whether the
 * network is the best. Ties go to the later one, as in the published code, but end no wait for a better one; a mean that is
 * no number is never the best.
 */
export function judge(
  { best, idle, average }: Pick<Position, "best" | "idle" | "average">,
  mean: number,
  by: BestBy = "dice",
): { better: boolean; best: number | null; idle: number; average: number | null } {
  if (!Number.isFinite(mean)) return { better: false, best, idle: idle + 1, average };
  average = average === null ? mean : INERTIA * average + (1 - INERTIA) * mean;
  const score = by === "ema" ? average : mean;
  const better = score >= (best ?? -Infinity);
  return { better, best: better ? score : best, idle: score > (best ?? -Infinity) ? 0 : idle + 1, average };
}

/** What ends a run; 0 for no patience's end, and for any number of seconds. */
export interface Limits {
  epochs: number;
  patience: number;
  maxSeconds: number;
}

/** Why a run is over at a position; null where it is not. */
export function over(
  { epoch, idle, total }: Position,
  { epochs, patience, maxSeconds }: Limits,
): "epochs" | "patience" | "time" | null {
  if (epoch > epochs) return "epochs";
  if (patience > 0 && idle >= patience) return "patience";
  return maxSeconds > 0 && total >= maxSeconds ? "time" : null;
}

/** The steps done of the whole run, those that were left out included. */
export function stepsDone({ epoch, done }: Position, stepsPerEpoch: number): number {
  return (epoch - 1) * stepsPerEpoch + done;
}
