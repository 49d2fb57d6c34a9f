// The training loop's options and events.

import type { Device } from "../../engine/index.ts";
import type { Method, OptimizerSpec, Run } from "../../model/methods/index.ts";
import type { Network } from "../../model/networks/network.ts";
import type { Control } from "./controls.ts";
import type { DropWeights } from "./drawSubset.ts";
import type { Members } from "./members.ts";
import type { BestBy, Position } from "./position.ts";
import type { EpochRecord, Validation } from "./records.ts";

export type { Scores, Validation } from "./records.ts";

/** A few patches of all loaded modalities. */
export interface TrainBatch {
  /** [N, modalities, D, H, W] */
  images: Float32Array;
  /** Classes, [N, D, H, W] */
  label: Uint8Array;
  /** The ids of the N cases. */
  cases: string[];
  /** The modalities that each case lacks, whose images are 0; absent where no case lacks any. */
  absent?: readonly (readonly string[])[];
}

/** The batches of a step by their streams, on the host. */
export type Batches = Readonly<Record<string, TrainBatch>>;

/** A stream of batches without end. */
export interface BatchSource {
  next(): TrainBatch | Promise<TrainBatch>;
  /** JSON data with which a new source continues after the batches returned so far. */
  state?(): unknown;
}

export interface TrainOptions {
  device: Device;
  method: Method;
  /** The method's settings, the network's sizes, and the modalities of the batches. */
  run: Run;
  /** The networks of the method's roles: see openMembers(). The trainer does not free them. */
  members: Members;
  patch: readonly [number, number, number];
  epochs: number;
  stepsPerEpoch: number;
  /** A source of batches for each stream of the method. */
  sources: Readonly<Record<string, BatchSource>>;
  /** The seed of random draws within steps. */
  seed?: number;
  /** For a network that takes any contrasts: see drawSubset(). */
  dropWeights?: DropWeights;
  /** With "shuffled" the outputs of frozen networks move along the batch: see rolled(). */
  control?: Control;
  /**
   * Called after every `validateEvery`-th epoch from `validateFrom` on (both 1 by default), and after the
   * last. It may return null after stop(): then a resumed run validates the epoch.
   */
  validate?: (network: Network) => Promise<Validation | null>;
  validateEvery?: number;
  validateFrom?: number;
  /** Decides which network is the best: a validation's mean score (by default), or its moving average. */
  bestBy?: BestBy;
  /** Skipped steps in a row that end the training; by default 3. */
  maxBadSteps?: number;
  /** Validations in a row without an improvement that end the training; 0 for no limit. */
  patience?: number;
  /**
   * Seconds of training and validation after which it ends, even within an epoch; earlier parts of a resumed
   * run count. 0 for no limit. If there is no best network by then, the last one is validated and becomes it.
   */
  maxSeconds?: number;
  /** Where to resume; by default the beginning. The caller restores the tensors: see restoreTensors(). */
  position?: Position;
  /** Milliseconds from any start. Without a clock, runs repeat event by event. */
  now?: () => number;
}

/** The reason why training ended before its last epoch. */
export type Ending = "time" | "patience" | "request";

export type TrainEvent =
  | { type: "start"; parameters: number }
  | { type: "compile"; done: number; kernels: number }
  | {
      type: "step";
      epoch: number;
      step: number;
      steps: number;
      losses: Record<string, number>;
      /** Numbers that nothing minimises, in steps that have some. */
      observed?: Record<string, number>;
      lr: number;
    }
  /**
   * A step that changed nothing, because its loss or a gradient was not finite. "overflow": half precision
   * was too small.
   */
  | {
      type: "skip";
      why: "loss" | "gradient" | "overflow";
      epoch: number;
      step: number;
      cases: string[];
      losses: Record<string, number>;
    }
  | { type: "epoch"; record: EpochRecord; best: boolean }
  /** A checkpoint point: no work is in flight, so that the state can be read and saved. */
  | { type: "checkpoint"; position: Position; data: Record<string, unknown> }
  | { type: "end"; reason: Ending };

/**
 * The optimizer of ProtoKD's published code (methods of Wang et al. §1.9), with nnU-Net's momentum for SGD.
 */
export const TRAINING = {
  optimizer: "adam",
  lr: 1e-3,
  schedule: "poly",
  weightDecay: 1e-5,
  momentum: 0.99,
  clip: 0,
} as const satisfies OptimizerSpec;

/** Default options. */
export const LOOP = {
  seed: 0,
  dropWeights: {},
  control: "none" as Control,
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
