// Messages between the page and its worker about a training.

import type { Recipe, TrainConfig } from "../../trainer/settings/settings.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import type { Row } from "../worker/protocol.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";

/** The settings of a training: the command line's, by the same names; defaults for those that are missing. */
export interface TrainSettings extends Omit<
  Partial<TrainConfig>,
  "stage" | "teacher" | "method" | "modality"
> {
  /** A student alone takes a network that is there already for its teacher, where its method needs one. */
  stages: "teacher" | "student" | "both" | "pretrain";
  /** The student's contrasts, as subsetName() joins them, or as anyOf() writes any of them. */
  modality: string;
  method: string;
  /** The name of the kept encoder that the student, or a teacher alone, begins with; null for none. */
  initEncoder?: string | null;
  /** Id of the network that teaches a student alone; null for one that teaches itself (selfTaught). */
  teacher: string | null;
}

/** A field of the form: a setting as plain data. */
export interface Field {
  name: string;
  label: string;
  help: string;
  /** The kind of value, in words. */
  expected: string;
  kind: "number" | "choice" | "switch" | "patch" | "text";
  /** Its first value; null for an empty text. */
  value: unknown;
  choices?: readonly string[];
  range?: { min: number; max: number; step: number | "any" };
  /** The methods that use it; all unless given. */
  methods?: readonly string[];
  /** True for one that a pretraining uses. */
  pretrains: boolean;
  /** It may be empty, which stands for null. */
  optional?: true;
}

/** The choices of the form. */
export interface FormChoices {
  fields: readonly Field[];
  /** By name, with their titles. */
  methods: readonly (readonly [name: string, title: string])[];
  /** Those that need a network that was trained before, some only where a field has this value. */
  taught: readonly { method: string; field?: string; value?: string }[];
  /** Those that only the command line trains, with the reason. */
  elsewhere: Readonly<Record<string, string>>;
  /** Those whose steps are far slower than others', with the reason. */
  slow: Readonly<Record<string, string>>;
  defaultMethod: string;
  /** The method of the stage "pretrain". */
  pretraining: string;
  /** The settings that each recipe stands for, by the values of --recipe. */
  recipes: Readonly<Record<Recipe, Readonly<Record<string, unknown>>>>;
  /** First values of fields by method, where a method has its own. */
  defaults: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
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

/** News of a training while it runs. */
export type TrainNews =
  | { type: "stage"; stage: string; parameters: number; steps: number; resumed: number }
  | { type: "doing"; what: string }
  /** Warnings of the check about the cases of a stage. */
  | { type: "findings"; lines: readonly string[] }
  /** The GPU was lost: training resumes from the last checkpoint on a new one. */
  | { type: "lost"; stage: string }
  | {
      type: "step";
      stage: string;
      step: number;
      steps: number;
      epoch: number;
      losses: Record<string, number>;
      /** Numbers that nothing minimises, such as a pretraining's entropies. */
      observed?: Record<string, number>;
      samplesPerSecond: number;
      bytes: number;
    }
  | { type: "epoch"; stage: string; record: EpochRecord; best: boolean }
  | { type: "slice"; stage: string; slice: SliceNews }
  | { type: "saved"; stage: string; step: number }
  | { type: "paused"; on: boolean }
  /** Null for a network that segments nothing. */
  | { type: "stageDone"; stage: string; model: string | null };

/** A training saved in the browser. */
export interface KeptRun {
  settings: TrainSettings;
  data: TrainData;
  /**
   * By name, with the optimizer steps done so far; `old`: an older version saved it, and it cannot be
   * resumed.
   */
  stages: { stage: string; done: boolean; step: number; old?: boolean }[];
}
