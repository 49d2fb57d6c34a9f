// What the training loop is given, and what it tells.

import type { Device } from "../../engine/index.ts";
import { PROTOKD, type Weights } from "../../model/losses/losses.ts";
import type { Method } from "../../model/methods/index.ts";
import type { Network } from "../../model/networks/network.ts";
import type { BestBy, Position } from "./position.ts";
import type { EpochRecord } from "./records.ts";
import type { Region } from "../../model/scoring/regions.ts";

/** What the loop is fed with: a few patches of all modalities that are loaded. */
export interface TrainBatch {
  /** [N, modalities, D, H, W] */
  images: Float32Array;
  /** Classes, [N, D, H, W] */
  label: Uint8Array;
  /** The ids of the N cases. */
  cases: string[];
}

/** Mean Dice over the validation cases. */
export type Scores = Record<Region | "mean", number>;

export interface TrainOptions {
  device: Device;
  network: Network;
  method: Method;
  /** A trained network that sees all modalities of the batches; null where the method needs none. */
  teacher: Network | null;
  /** Which of the batches' modalities the network sees, by index. */
  channels: readonly number[];
  patch: readonly [number, number, number];
  epochs: number;
  stepsPerEpoch: number;
  next: () => TrainBatch | Promise<TrainBatch>;
  /** What `next` needs to go on after the batches that it has given, as JSON. */
  data?: () => unknown;
  optimizer?: "adam" | "sgd";
  /** Learning rate at the start. */
  rate?: number;
  /** How it goes on: it decays with the power 0.9 of what is left, epoch by epoch, or stays. */
  schedule?: Schedule;
  /** L2 regularisation, added to the gradient. */
  decay?: number;
  /** Of SGD. */
  momentum?: number;
  weights?: Weights;
  /**
   * Called after every `validateEvery`-th epoch from `validateFrom` on (both 1 by default), and the last. It may give null
   * once stop() was called: then the epoch is validated when the run goes on.
   */
  validate?: (network: Network) => Promise<Scores | null>;
  validateEvery?: number;
  validateFrom?: number;
  /** The largest norm of a step's gradients, to which larger ones are scaled; 0 for any. */
  clip?: number;
  /** What the best network is best in; by default the mean Dice. */
  bestBy?: BestBy;
  /** Steps in a row that may be left out before training ends, the last of them included; by default 3. */
  maxSkipped?: number;
  /** Validations without a better one after which training ends; 0 for never. */
  patience?: number;
  /**
   * Seconds of training and validation, those before a resumption included, after which it ends, within an epoch too; 0
   * for any. A network that would have no best one by then is validated and is it.
   */
  maxSeconds?: number;
  /** Where to go on; the beginning if left out. Parameters and the optimizer's state are the caller's to restore. */
  position?: Position;
  /** Milliseconds from any start: a loop without a clock of its own can be repeated. */
  now?: () => number;
}

export type Schedule = "poly" | "constant";

/** Why training ended before its epochs were over. */
export type Ending = "time" | "patience" | "request";

export type TrainEvent =
  | { type: "start"; parameters: number }
  | { type: "compile"; done: number; kernels: number }
  | { type: "step"; epoch: number; step: number; steps: number; losses: Record<string, number>; rate: number }
  /** A step whose gradients were no numbers: it changed nothing. An overflow is what half precision does at times. */
  | {
      type: "skip";
      why: "loss" | "gradient" | "overflow";
      epoch: number;
      step: number;
      cases: string[];
      losses: Record<string, number>;
    }
  | { type: "epoch"; record: EpochRecord; best: boolean }
  /** All that was told is done: parameters may be read and saved, to go on from `position`, and `next` from `data`. */
  | { type: "rest"; position: Position; data: unknown }
  | { type: "end"; reason: Ending };

/** The defaults of ProtoKD's published code (Adam, weight decay, rate; methods of Wang et al. §1.9). */
export const TRAINING = { optimizer: "adam", rate: 1e-3, decay: 1e-5, schedule: "poly" } as const;

/** And what else is meant where nothing is said. */
export const LOOP = {
  ...{ ...TRAINING, momentum: 0.99, weights: PROTOKD, validateEvery: 1, validateFrom: 1, now: () => 0 },
  ...{ clip: 0, patience: 0, maxSeconds: 0, maxSkipped: 3, bestBy: "dice" as BestBy },
};

type Optional = "validate" | "position" | "data";

/** Options with all that has a default. */
export type ResolvedOptions = Required<Omit<TrainOptions, Optional>> & Pick<TrainOptions, Optional>;
