// What a training run is: every choice, resolved. config.json of a stage holds just this.

import { type Modality, MODALITIES } from "../data/datasets.ts";
import type { LabelConvention } from "../data/labels.ts";
import { PROTOKD, type Weights } from "../model/losses.ts";
import type { Vec3 } from "../model/regions.ts";
import { TRAINING } from "../model/trainer.ts";
import { VNET, type VnetConfig } from "../model/vnet.ts";
import { UsageError } from "./command.ts";

export type Stage = "teacher" | "student";

export interface TrainConfig {
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
  epochs: number;
  batch: number;
  patch: Vec3;
  filters: number;
  levels: number;
  norm: VnetConfig["norm"];
  optimizer: "adam" | "sgd";
  lr: number;
  weightDecay: number;
  kdWeight: number;
  prototypeWeight: number;
  temperature: number;
  background: "zero" | "shifted";
  validateEvery: number;
  seed: number;
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
  ...{ norm: VNET.norm, labels: null, split: null, background: "zero", seed: 0 },
  ...{ optimizer: TRAINING.optimizer, weightDecay: TRAINING.decay },
  ...{ kdWeight: PROTOKD.kd, prototypeWeight: PROTOKD.prototype, temperature: PROTOKD.temperature },
} as const;

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

const METHOD_TITLES: Readonly<Record<string, string>> = { protokd: "ProtoKD" };

export function networkConfig(config: TrainConfig): VnetConfig {
  const { filters, levels, norm } = config;
  return { modalities: networkModalities(config).length, classes: VNET.classes, filters, levels, norm };
}

/** What the network of this stage sees, in channel order. */
export function networkModalities({ modality }: Pick<TrainConfig, "modality">): Modality[] {
  return modality ? [modality] : [...MODALITIES];
}

export function weights({ kdWeight, prototypeWeight, temperature }: TrainConfig): Weights {
  return { kd: kdWeight, prototype: prototypeWeight, temperature };
}

/** The names of the settings in which two configurations differ. Where they are kept does not count. */
export function differences(a: TrainConfig, b: TrainConfig): string[] {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)] as (keyof TrainConfig)[]);
  keys.delete("out");
  return [...keys].filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]));
}

/** "96,128,128" or "32" as [D, H, W]. */
export function parsePatch(text: string): Vec3 {
  const parts = text.split(/[,x]/).map(Number);
  if ((parts.length !== 1 && parts.length !== 3) || parts.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new UsageError(`--patch: expected D,H,W or one edge in voxels, got ${text}`);
  }
  const [d, h = d, w = d] = parts as [number, number?, number?];
  return [d, h, w];
}
