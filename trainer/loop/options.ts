// The training loop's options and events.

import type { Device } from "../../engine/index.ts";
import type { Method, OptimizerSpec, Run } from "../../model/methods/index.ts";
import type { Network } from "../../model/networks/network.ts";
import type { Members } from "./members.ts";
import type { BestBy, Position } from "./position.ts";
import type { EpochRecord, Scores } from "./records.ts";

export type { Scores } from "./records.ts";

/** A few patches of all loaded modalities. */
export interface TrainBatch {
  /** [N, modalities, D, H, W] */
  images: Float32Array;
  /** Classes, [N, D, H, W] */
  label: Uint8Array;
  /** The ids of the N cases. */
  cases: string[];
}

/** A stream of batches without end. */
export interface BatchSource {
  next(): TrainBatch | Promise<TrainBatch>;
  /** Plain numbers, for JSON, with which a new source continues after the batches handed out so far. */
  state?(): unknown;
}

export interface TrainOptions {
  device: Device;
  method: Method;
  /** The run that the method trains: its settings, the network's sizes, the modalities of the batches. */
  run: Run;
  /** The networks of the method's roles: see openMembers(). The trainer frees none of them. */
  members: Members;
  patch: readonly [number, number, number];
  epochs: number;
  stepsPerEpoch: number;
  /** A source of batches for each stream of the method. */
  sources: Readonly<Record<string, BatchSource>>;
  /** Draws whatever a method draws within a step. */
  seed?: number;
  /**
   * Called after every `validateEvery`-th epoch from `validateFrom` on (both 1 by default), and after the last. It may
   * return null once stop() was called: then a resumed run validates the epoch.
   */
  validate?: (network: Network) => Promise<Scores | null>;
  validateEvery?: number;
  validateFrom?: number;
  /** The score that makes a network the best: a validation's mean (by default), or its moving average. */
  bestBy?: BestBy;
  /** Skipped steps in a row that end the training; by default 3. */
  maxBadSteps?: number;
  /** Validations without a better one that end the training; 0 for no limit. */
  patience?: number;
  /**
   * Seconds of training and validation, those before a resumption included, after which it ends, within an epoch too; 0
   * for no limit. If there is no best network by then, the last is validated and becomes it.
   */
  maxSeconds?: number;
  /** Where to resume; the beginning unless given. Tensors are the caller's to restore: see restoreTensors(). */
  position?: Position;
  /** Milliseconds from any start. Without a clock a training can be repeated event by event. */
  now?: () => number;
}

/** Why training ended before its last epoch. */
export type Ending = "time" | "patience" | "request";

export type TrainEvent =
  | { type: "start"; parameters: number }
  | { type: "compile"; done: number; kernels: number }
  | { type: "step"; epoch: number; step: number; steps: number; losses: Record<string, number>; lr: number }
  /** A step that changed nothing, for its loss or a gradient was not finite. Half precision overflows at times. */
  | {
      type: "skip";
      why: "loss" | "gradient" | "overflow";
      epoch: number;
      step: number;
      cases: string[];
      losses: Record<string, number>;
    }
  | { type: "epoch"; record: EpochRecord; best: boolean }
  /** A checkpoint point: nothing is in flight, so that tensors can be read and saved to resume from here. */
  | { type: "checkpoint"; position: Position; data: Record<string, unknown> }
  | { type: "end"; reason: Ending };

/** The optimizer of ProtoKD's published code (methods of Wang et al. §1.9); momentum is nnU-Net's, for SGD. */
export const TRAINING = {
  optimizer: "adam",
  lr: 1e-3,
  schedule: "poly",
  weightDecay: 1e-5,
  momentum: 0.99,
  clip: 0,
} as const satisfies OptimizerSpec;

/** Defaults of the options. */
export const LOOP = {
  seed: 0,
  validateEvery: 1,
  validateFrom: 1,
  bestBy: "dice" as BestBy,
  maxBadSteps: 3,
  patience: 0,
  maxSeconds: 0,
  now: () => 0,
};

type Optional = "validate" | "position";

/** Options with all defaults. */
export type ResolvedOptions = Required<Omit<TrainOptions, Optional>> & Pick<TrainOptions, Optional>;
