// The table of settings, one row for each setting of a training run. The flags of train.js and their help,
// the type TrainConfig, the keys of --config files and config.json, and the comparison of two runs all come
// from it.
//
// To add a setting, add a row to the group that --help lists it under:
//
//   /** Explains its values to readers of the code. */
//   clipping: row(number(), { default: 0, help: "largest norm of the gradient; 0 for no limit" }),
//
// The key is the setting's name in files; its flag is the same in kebab case (--clipping). `phantom` is its
// value on the built-in phantom, `parity` the published code's, `nnunet` nnU-Net's. Code reads it as
// `config.clipping` from a TrainConfig.

import type * as v from "valibot";
import { CONVENTION_NAMES } from "../../data/datasets/labels.ts";
import { AUTO, isPatients } from "../../data/datasets/patients.ts";
import { MISSING } from "../../data/datasets/splitLists.ts";
import {
  DEFAULT_METHOD,
  DEFAULT_PRETRAINING,
  METHOD_SETTINGS,
  METHODS,
  PRETRAININGS,
} from "../../model/methods/index.ts";
import { LEVELS, VNET } from "../../model/networks/vnet.ts";
import {
  choice,
  foldNumber,
  LARGEST_SEED,
  number,
  onOff,
  optional,
  path,
  text,
  whole,
} from "../../model/settings/kinds.ts";
import { group, row, type Setting } from "../../model/settings/rows.ts";
import { CONTROLS } from "../loop/controls.ts";
import { CONTRAST_SETTINGS } from "./contrasts.ts";
import { INPUT_SETTINGS } from "./inputSettings.ts";
import { TRAINING_SETTINGS } from "./trainingSettings.ts";
export { AFFINE_HELP } from "./inputSettings.ts";
export { FAST_HELP } from "./trainingSettings.ts";

export const SETTINGS = {
  ...group("Stage and data", {
    stage: row(choice(["teacher", "student", "pretrain"], "stage"), {
      help: "what to train; pretrain: an encoder for --init-encoder, without labels",
    }),
    method: row(choice([...Object.keys(METHODS), ...Object.keys(PRETRAININGS)], "name"), {
      help: "how the student learns",
      defaultHelp: `${DEFAULT_METHOD}; of a pretraining ${DEFAULT_PRETRAINING}`,
    }),
    ...CONTRAST_SETTINGS,
    data: row(path("folder"), {
      help: "BraTS, nnU-Net or Decathlon data",
      defaultHelp: "a phantom, made when missing",
    }),
    out: row(path("folder"), {
      help: "folder of the run",
      defaultHelp: "runs/<name of the data>",
      counts: false,
    }),
    /** The convention of the labels; null detects it. */
    labels: row(optional(choice(CONVENTION_NAMES, "convention")), {
      help: "meaning of the label values",
      default: null,
      defaultHelp: "detected",
    }),
    /**
     * A file of {train, val, test}, nnU-Net's list of folds, or published lists of names (or their folder);
     * null takes DATA/split.json, or draws a split.
     */
    split: row(optional(path("file")), {
      help:
        "cases to train, validate and test: JSON, a CSV, or train_list.txt with val_list.txt and test_list.txt " +
        "beside it, or their folder",
      default: null,
      defaultHelp: "DATA/split.json, or 70/10/20",
    }),
    /** Runs are compared by the cases of their split, which this setting helps to choose. */
    splitMissing: row(choice(MISSING, "how"), {
      help: "names of --split that the data lack: refuse them, or skip them",
      default: "refuse",
      counts: false,
    }),
    /** The fold of a cross-validation that is held out, from 0 on; null for a single split. */
    fold: row(optional(foldNumber()), {
      help: "hold out this fold of nnU-Net's cross-validation (0 to 4); all trains on every case",
      default: null,
      defaultHelp: "a single split",
    }),
    /** How a drawn split finds the cases of a patient, which stay together. */
    patients: row(
      text("pattern", {
        expected: 'auto, none, or a regular expression whose first group is the patient, like "^(.+)-"',
        isValid: isPatients,
      }),
      {
        help:
          "a drawn split keeps a patient's cases together: by ids such as X-00005-001 (auto), by a regular " +
          "expression whose first group is the patient, or not at all (none)",
        default: AUTO,
      },
    ),
    /** The teacher's checkpoint; null where the method needs none. */
    teacher: row(optional(path("file")), {
      help: "the teacher's checkpoint; self: with --modality any, the network itself, which sees all contrasts",
      default: null,
      defaultHelp: "the last one trained on the data",
    }),
    /** A checkpoint with the first weights; null draws them from the seed. */
    init: row(optional(path("file")), {
      help: "a checkpoint with the first weights",
      default: null,
      defaultHelp: "drawn from the seed",
    }),
    /** The file of a pretraining, or another network's, whose encoder is the first; null draws it. */
    initEncoder: row(optional(path("file")), {
      help: "a pretraining's checkpoint with the encoder's first weights; the decoder is drawn",
      default: null,
      defaultHelp: "drawn from the seed",
    }),
    seed: row(whole(0, LARGEST_SEED), {
      help: "seed of weights and patches",
      default: 0,
      page: { label: "Seed" },
    }),
  }),

  ...group("Network", {
    filters: row(whole(1, 256), {
      help: "channels at full resolution",
      default: VNET.filters,
      phantom: 8,
      page: { label: "Filters" },
    }),
    levels: row(whole(LEVELS.least, LEVELS.most), {
      help: "number of resolutions",
      default: VNET.levels,
      phantom: 4,
      page: { label: "Levels" },
    }),
    norm: row(choice(["instance", "batch"]), {
      help: "normalisation",
      default: VNET.norm,
      parity: "batch",
    }),
    deepSupervision: row(onOff(), {
      help: "train auxiliary heads at the decoder's lower resolutions, as nnU-Net does (4 levels or more)",
      default: false,
      nnunet: true,
    }),
    /** Gradient checkpointing: less memory, and the same bits but for UAGAN's rounding. */
    lowMemory: row(onOff(), {
      help: "recompute activations instead of keeping them: the same result in less memory, slower",
      default: false,
      counts: false,
    }),
    /** GiB; null where it is not known, for WebGPU does not report it. */
    gpuMemory: row(optional(number(0.001, 16384)), {
      help: "GPU memory that training may take; a run that needs more is refused at the start",
      argument: "GiB",
      default: null,
      defaultHelp: "unknown, or on a CPU the machine's",
      counts: false,
    }),
    /** The precision of activations and their gradients. */
    precision: row(choice(["f32", "f16"], "kind"), {
      help: "precision of activations; f16 takes half the memory (needs shader-f16)",
      default: "f32",
    }),
  }),

  ...TRAINING_SETTINGS,

  ...group("Distillation", {
    ...METHOD_SETTINGS,
    /** Where it is not "none", the run shows what a method does without what its teacher knows. */
    control: row(choice(CONTROLS, "kind"), {
      help:
        "replaces what the teacher knows, to see what the method owes to it: outputs of another case of the batch " +
        "(shuffled), a teacher of the student's contrasts alone, given with --teacher (twin), or drawn weights " +
        "(untrained)",
      default: "none",
    }),
  }),

  ...INPUT_SETTINGS,
};

export type SettingName = keyof typeof SETTINGS;

/** The values of --recipe: the paper's settings, which are the defaults, and nnU-Net's. */
export const RECIPES = ["paper", "nnunet"] as const;
export type Recipe = (typeof RECIPES)[number];

/** All settings of a training run, resolved: the content of a stage's config.json. */
export type TrainConfig = { [Name in SettingName]: v.InferOutput<(typeof SETTINGS)[Name]["schema"]> };

/** Some settings, as a user or a file gives them. */
export type GivenSettings = { [Name in SettingName]?: NonNullable<TrainConfig[Name]> };

/** The rows, in the table's order. */
export const ROWS = Object.entries(SETTINGS) as unknown as readonly (readonly [SettingName, Setting])[];
