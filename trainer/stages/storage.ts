// Where a stage is kept: a folder for the command line, the browser's own storage for the page.

import type { EpochRecord } from "../loop/records.ts";

/**
 * A skipped step, for whoever looks for the case behind it. Losses that are not finite are texts: "NaN",
 * "Infinity".
 */
export interface SkippedStep {
  why: "loss" | "gradient";
  epoch: number;
  step: number;
  cases: string[];
  losses: Record<string, number | string>;
}

/**
 * Each write is whole on the disk when its promise resolves: a crash leaves the file from before, or the new
 * one.
 */
export interface StageStorage {
  /** Adds an epoch to the stage's metrics. */
  addEpoch(record: EpochRecord): Promise<void>;
  /** Adds a skipped step to the stage's records. */
  addSkipped?(step: SkippedStep): Promise<void>;
  /** Replaces the best network: a checkpoint's bytes. */
  saveBest(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Replaces the network of this role, which the method trains beside the deployed one. */
  saveBeside(role: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Replaces the latest training state, and keeps the one before it. */
  saveState(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}
