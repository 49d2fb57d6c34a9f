// The lines of metrics.jsonl, the source of curves and tables.

import * as v from "valibot";
import { type OwnFile, valuesOf } from "../../data/datasets/json.ts";
import type { Region } from "../../model/scoring/regions.ts";

/**
 * The scores of a validation: by default the mean over cases of each region's Dice, and their mean; of a
 * network that classifies each region's AUC.
 */
export type Scores = Record<Region | "mean", number>;

/**
 * The scores of a validation; of a network that sees one contrast at a time also those of each, of one that
 * classifies also the average precision.
 */
export type Validation = Scores & { contrasts?: Readonly<Record<string, Scores>>; precision?: Scores };

/** One line of metrics.jsonl: an epoch. */
export interface EpochRecord {
  /** Counted from 1. */
  epoch: number;
  /** Optimizer steps done when the epoch ended. */
  step: number;
  /** Seconds that the epoch took, validation included. */
  seconds: number;
  /** Learning rate of the epoch's last step. */
  rate: number;
  /** Means over the epoch's steps that had a term, by term. */
  losses: Record<string, number>;
  /** Means of numbers that nothing minimises, over the steps that had them: see Step. */
  observed?: Record<string, number>;
  /** Seconds of waiting for batches, and steps skipped because a loss or gradient was not finite. */
  waited?: number;
  skipped?: number;
  /** Scores of the validation cases, in epochs that were validated. */
  validation?: Scores;
  /** The same of each contrast, of a network that sees one at a time: `validation` is their mean. */
  contrasts?: Readonly<Record<string, Scores>>;
  /** The average precision, of a network that classifies. */
  precision?: Scores;
  /** The name of the score, where it is not Dice. */
  score?: string;
  /** The moving average of validations' mean scores; each new one counts a tenth. */
  average?: number;
  /**
   * Each term's share of the gradient, in epochs that were validated: the norm of its weighted gradient,
   * divided by that of the whole loss, at the logits and at the taps that the method compares (see
   * shares.ts).
   */
  gradients?: Record<string, Record<string, number>>;
  /** The most bytes of tensors on the GPU at one time. */
  gpuBytes?: number;
}

const amount = v.nullable(v.number()); // JSON has null for NaN
const numbers = valuesOf(amount);
const scores = v.looseObject({ WT: amount, TC: amount, ET: amount, mean: amount });
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** A line of metrics.jsonl as a file. */
export const EPOCH_RECORD: OwnFile<EpochRecord> = {
  content: "the record of an epoch",
  remedy: "remove the line",
  schema: v.looseObject({
    epoch: v.pipe(count, v.minValue(1)),
    step: count,
    seconds: amount,
    rate: amount,
    losses: numbers,
    observed: v.optional(numbers),
    waited: v.optional(amount),
    skipped: v.optional(amount),
    validation: v.optional(scores),
    contrasts: v.optional(valuesOf(scores)),
    precision: v.optional(scores),
    score: v.optional(v.string()),
    average: v.optional(amount),
    gradients: v.optional(valuesOf(numbers)),
    gpuBytes: v.optional(amount),
  }) as v.GenericSchema<unknown, unknown> as v.GenericSchema<unknown, EpochRecord>,
};
