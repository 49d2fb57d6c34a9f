// Lines of metrics.jsonl, the source of curves and tables.
import type { Region } from "../../model/scoring/regions.ts";

/** The scores of a validation, each the mean over its cases: by default Dice of the regions, and their mean. */
export type Scores = Record<Region | "mean", number>;

/** One line of metrics.jsonl: an epoch. */
export interface EpochRecord {
  /** Counted from 1. */
  epoch: number;
  /** Optimizer steps done when the epoch ended. */
  step: number;
  /** Wall time of this epoch, validation included. */
  seconds: number;
  /** Learning rate of the epoch's last step. */
  rate: number;
  /** Mean over the epoch's steps, by term. */
  losses: Record<string, number>;
  /** Seconds spent waiting for batches, and steps that were skipped because a loss or gradient was not finite. */
  waited?: number;
  skipped?: number;
  /** Scores of the validation cases, in epochs that were validated. */
  validation?: Scores;
  /** The name of the score, where it is not Dice. */
  score?: string;
  /** The moving average of their mean so far; each new one counts a tenth. */
  average?: number;
  /**
   * Each term's share of the gradient, in epochs that were validated: the norm of its weighted gradient over that of the
   * whole loss, at the logits and at the taps that the method compares (see shares.ts).
   */
  gradients?: Record<string, Record<string, number>>;
  /** The most bytes that tensors took on the GPU at once, since the process began. */
  gpuBytes?: number;
}
