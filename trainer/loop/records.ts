// What a stage writes down about each epoch: one line of metrics.jsonl, the source of curves and tables.
import type { Region } from "../../model/scoring/regions.ts";

/** One line of metrics.jsonl. */
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
  /** Seconds of it that no batch was ready, and steps that were left out because a gradient was no number. */
  waited?: number;
  skipped?: number;
  /** Dice over the validation cases, in epochs that were validated. */
  validation?: Record<Region | "mean", number>;
  /** The moving average of its mean so far, of which each new one is a tenth. */
  average?: number;
  /** The most bytes that tensors took on the GPU at once, from the start of the process on. */
  gpuBytes?: number;
}
