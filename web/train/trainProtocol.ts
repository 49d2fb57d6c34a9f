// What the page and its worker say to each other about a training.

import type { Modality } from "../../data/datasets/source.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import type { Row } from "../worker/protocol.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";

/** What is trained, and how: the command line's settings of the same names. */
export interface TrainSettings {
  /** A student alone takes a network that is there already for its teacher, where its method needs one. */
  stages: "teacher" | "student" | "both";
  modality: Modality;
  method: string;
  /** Id of the network that teaches a student alone. */
  teacher: string | null;
  epochs: number;
  batch: number;
  patch: Vec3;
  filters: number;
  levels: number;
  lr: number;
  seed: number;
  /** Epochs between two validations. */
  validateEvery: number;
}

/** The built-in phantom. */
export interface PhantomData {
  kind: "phantom";
  cases: number;
  size: number;
  seed: number;
}

/** Cases in files of the user's, which are chosen again after a reload. */
export interface OwnData {
  kind: "files";
  rows: Row[];
  convention: LabelConvention;
  /** The name of the folder, and the bytes of its files that matter, by path: what it is known again by. */
  folder: string;
  sizes: Record<string, number>;
}

/** Where the cases are from. */
export type TrainData = PhantomData | OwnData;

/** One slice of a validation case. */
export interface SliceNews {
  case: string;
  height: number;
  width: number;
  /** 0 to 255. */
  image: Uint8Array;
  prediction: Uint8Array;
  label: Uint8Array;
}

/** What a training tells while it runs. */
export type TrainNews =
  | { type: "stage"; stage: string; parameters: number; steps: number; resumed: number }
  | { type: "doing"; what: string }
  /** The GPU: a new one goes on from the last checkpoint. */
  | { type: "lost"; stage: string }
  | {
      type: "step";
      stage: string;
      step: number;
      steps: number;
      epoch: number;
      losses: Record<string, number>;
      samplesPerSecond: number;
      bytes: number;
    }
  | { type: "epoch"; stage: string; record: EpochRecord; best: boolean }
  | { type: "slice"; stage: string; slice: SliceNews }
  | { type: "saved"; stage: string; step: number }
  | { type: "paused"; on: boolean }
  | { type: "stageDone"; stage: string; model: string };

/** A training that is kept in the browser. */
export interface KeptRun {
  settings: TrainSettings;
  data: TrainData;
  /** Optimizer steps done of each stage so far, by its name. */
  stages: { stage: string; done: boolean; step: number }[];
}
