// What a training run is: every choice, resolved. config.json of a stage holds just this.

import type { Tuning } from "../engine/index.ts";
import { type Modality, MODALITIES } from "../data/datasets.ts";
import type { LabelConvention } from "../data/labels.ts";
import { SAMPLING, type Sampling } from "../data/patches.ts";
import { PREPARATION, type Preparation } from "../data/preprocess.ts";
import type { ConventionName } from "../model/conventions.ts";
import type { Precision } from "../engine/index.ts";
import { PROTOKD, type Weights } from "../model/losses.ts";
import { METHODS } from "../model/methods/index.ts";
import type { BestBy, Limits } from "../model/position.ts";
import type { Vec3 } from "../model/regions.ts";
import { type Schedule, TRAINING, type TrainOptions } from "../model/trainOptions.ts";
import { checkPatch, VNET, type VnetConfig } from "../model/vnet.ts";
import { UsageError } from "./command.ts";
import { parseDuration } from "./durations.ts";

export type Stage = "teacher" | "student";

export interface TrainConfig extends Preparation, Sampling {
  stage: Stage;
  method: string;
  /** The student's; null for a teacher, which sees all four. */
  modality: Modality | null;
  data: string;
  out: string;
  /** Convention of the labels; null detects it. */
  labels: LabelConvention | null;
  /** A file of {train, val, test}; null takes DATA/split.json, or else draws one. */
  split: string | null;
  /** The teacher's checkpoint; null where the method needs none. */
  teacher: string | null;
  /** A checkpoint whose weights are the first; null draws them from the seed. */
  init: string | null;
  epochs: number;
  batch: number;
  patch: Vec3;
  filters: number;
  levels: number;
  norm: VnetConfig["norm"];
  optimizer: "adam" | "sgd";
  lr: number;
  schedule: Schedule;
  weightDecay: number;
  kdWeight: number;
  prototypeWeight: number;
  temperature: number;
  validateEvery: number;
  /** The first epoch that is validated, counted from 1; the last always is. */
  validateFrom: number;
  /** Where test cases are scored: in the source's whole grid, or in what the network was given of it. */
  scoring: "source" | "crop";
  /** What empty regions score. */
  convention: ConventionName;
  seed: number;
  /** The largest norm of a step's gradients, to which larger ones are scaled; 0 for any. */
  clip: number;
  /** Of SGD: the share of its velocity that a step keeps. */
  momentum: number;
  /** Training time, as 6h, after which the stage ends; null for any. Earlier parts of a resumed run count too. */
  maxTime: string | null;
  /** Validations without a better one after which the stage ends; 0 for never. */
  patience: number;
  /** What the best checkpoint is best in: the validation's mean Dice, or its moving average. */
  bestBy: BestBy;
  /** How often a state is saved within an epoch: a time, as 5m, or a number of steps. */
  saveEvery: string;
  /** Steps in a row whose loss or gradient is no number that end the run. */
  maxBadSteps: number;
  /** Whether kernels run without Dawn's bounds checks. */
  fast: boolean;
  /** Of activations and their gradients. */
  precision: Precision;
  /** Which kernels convolve; null until the device is open. */
  tuning: Tuning | null;
}

/** What a run's size is unless said otherwise. */
type Sizes = Pick<TrainConfig, "epochs" | "batch" | "patch" | "filters" | "levels" | "lr" | "validateEvery">;

/** The published experiment: 96x128x128 at batch 4 for 1000 epochs (methods of Wang et al. §1.3, §1.9). */
export const PAPER: Sizes = {
  ...{ epochs: 1000, batch: 4, patch: [96, 128, 128], validateEvery: 10 },
  ...{ filters: VNET.filters, levels: VNET.levels, lr: TRAINING.rate },
};

/** The built-in phantom, in minutes on two cores: its few steps need the higher rate. */
export const SMALL: Sizes = {
  ...{ epochs: 18, batch: 2, patch: [32, 32, 32], validateEvery: 9 },
  ...{ filters: 8, levels: 4, lr: 3e-3 },
};

/** The phantom that is made where no data are given. */
export const PHANTOM = { folder: "phantom", cases: 20, size: 48, seed: 1 } as const;

/** Everything but the sizes. */
export const DEFAULTS = {
  ...{
    norm: VNET.norm,
    labels: null,
    split: null,
    teacher: null,
    init: null,
    seed: 0,
    fast: false,
    precision: "f32" as Precision,
    tuning: null,
  },
  ...{ optimizer: TRAINING.optimizer, schedule: TRAINING.schedule, weightDecay: TRAINING.decay },
  ...{ kdWeight: PROTOKD.kd, prototypeWeight: PROTOKD.prototype, temperature: PROTOKD.temperature },
  ...{ clip: 0, momentum: 0.99, maxTime: null, patience: 0, bestBy: "dice" as BestBy },
  ...{ saveEvery: "5m", maxBadSteps: 3 },
  ...PREPARATION,
  ...SAMPLING,
  validateFrom: 1,
  scoring: "source",
  convention: "brats",
} as const;

/**
 * The published code's choices where they differ from the defaults (methods of Wang et al. §1.1, §1.3, §1.4,
 * §1.9, §1.10): what --parity stands for. Each is where its behaviour is, and can be said alone.
 */
export const PARITY = {
  norm: "batch",
  background: "shifted",
  crop: "published",
  padding: "zero",
  offsets: "exclusive",
  lastBatch: "short",
  validateEvery: 1,
  scoring: "crop",
  convention: "protokd",
} as const satisfies Partial<TrainConfig>;

/**
 * All of parity for a stage. A student's rate is computed there and never set, so that only teachers and
 * students alone decay; and the first quarter of the epochs is not validated.
 */
export function parity({ method, epochs }: Pick<TrainConfig, "method" | "epochs">) {
  const schedule: Schedule = METHODS[method]!.teacher ? "constant" : "poly";
  return { ...PARITY, schedule, validateFrom: Math.floor(epochs / 4) + 1 };
}

/** The folder of a stage under --out. */
export function stageName({
  stage,
  modality,
  method,
}: Pick<TrainConfig, "stage" | "modality" | "method">): string {
  if (stage === "teacher") return "teacher";
  return method === "none" ? `student_${modality}` : `student_${modality}_${method}`;
}

/** A stage in words, for tables and reports. */
export function stageTitle({
  stage,
  modality,
  method,
}: Pick<TrainConfig, "stage" | "modality" | "method">): string {
  if (stage === "teacher") return "teacher (t1, t2, t1ce, flair)";
  return method === "none"
    ? `student (${modality}) alone`
    : `student (${modality}) with ${METHOD_TITLES[method] ?? method}`;
}

const METHOD_TITLES: Readonly<Record<string, string>> = { kd: "pixel KD", protokd: "ProtoKD" };

export function networkConfig(config: TrainConfig): VnetConfig {
  const { filters, levels, norm } = config;
  return { modalities: networkModalities(config).length, classes: VNET.classes, filters, levels, norm };
}

/** What the network of this stage sees, in channel order. */
export function networkModalities({ modality }: Pick<TrainConfig, "modality">): Modality[] {
  return modality ? [modality] : [...MODALITIES];
}

/** How this run prepares a network's input. */
export function preparation({ background, crop, padding }: TrainConfig): Preparation {
  return { background, crop, padding };
}

/** What of a run concerns the training loop. */
export function trainingOptions(config: TrainConfig): Partial<TrainOptions> & Limits {
  const { optimizer, lr, schedule, weightDecay, momentum, clip } = config;
  const { validateEvery, validateFrom, bestBy, maxBadSteps } = config;
  return {
    ...{ optimizer, rate: lr, schedule, decay: weightDecay, momentum, clip, weights: weights(config) },
    ...{ validateEvery, validateFrom, bestBy, maxSkipped: maxBadSteps, ...limits(config) },
  };
}

/** What ends a run. */
export function limits({ epochs, patience, maxTime }: TrainConfig): Limits {
  return { epochs, patience, maxSeconds: maxTime === null ? 0 : parseDuration(maxTime, "--max-time") };
}

export function weights({ kdWeight, prototypeWeight, temperature }: TrainConfig): Weights {
  return { kd: kdWeight, prototype: prototypeWeight, temperature };
}

/** The teacher for a student of this configuration. */
export function teacherOf(config: TrainConfig): TrainConfig {
  const own = { schedule: DEFAULTS.schedule, teacher: null, init: null }; // a teacher's rate decays, in parity too
  return { ...config, stage: "teacher", modality: null, method: "none", ...own };
}

/**
 * The names of the settings in which two configurations differ. Where they are kept, on what they run, when they are saved
 * and when they end early does not count.
 */
export function differences(a: TrainConfig, b: TrainConfig): string[] {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)] as (keyof TrainConfig)[]);
  for (const key of FREE) keys.delete(key);
  return [...keys].filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]));
}

/** Settings that may change while a run goes on. */
const FREE = ["out", "fast", "tuning", "maxTime", "patience", "saveEvery", "maxBadSteps"] as const;

/** "96,128,128" or "32" as [D, H, W]. */
export function parsePatch(text: string, flag = "--patch"): Vec3 {
  const parts = text.split(/[,x]/).map(Number);
  if ((parts.length !== 1 && parts.length !== 3) || parts.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new UsageError(`${flag}: expected D,H,W or one edge in voxels, got ${text}`);
  }
  const [d, h = d, w = d] = parts as [number, number?, number?];
  return [d, h, w];
}

/** The patch; throws a UsageError unless a network of so many levels can take it. */
export function fittingPatch(patch: Vec3, levels: number): Vec3 {
  try {
    checkPatch(patch, levels);
    return patch;
  } catch (error) {
    throw new UsageError(`--${(error as Error).message}`);
  }
}
