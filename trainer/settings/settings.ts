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
// value on the built-in phantom, `parity` the published code's. Code reads it as `config.clipping` from a
// TrainConfig.

import type * as v from "valibot";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { CONVENTION_NAMES } from "../../data/datasets/labels.ts";
import { AUTO, isPatients } from "../../data/datasets/patients.ts";
import { SAMPLING } from "../../data/sampling/patches.ts";
import { DEFAULT_METHOD, isTaught, METHOD_SETTINGS, METHODS } from "../../model/methods/index.ts";
import { TRAINING } from "../loop/options.ts";
import { VNET } from "../../model/networks/vnet.ts";
import {
  choice,
  duration,
  extent,
  foldNumber,
  interval,
  number,
  onOff,
  optional,
  path,
  share,
  text,
  whole,
} from "../../model/settings/kinds.ts";
import { group, row, type Setting } from "../../model/settings/rows.ts";
import { INPUT_SETTINGS } from "./inputSettings.ts";
export { AFFINE_HELP } from "./inputSettings.ts";

/** Help of --fast, in every command that has it. */
export const FAST_HELP = "run without Dawn's bounds checks; PROTOKD_TOGGLES=fast does the same";

/** The first epoch that the published code validates, after a quarter of all. */
const afterQuarter = ({ epochs }: { epochs: number }) => Math.floor(epochs / 4) + 1;

/** The published code computes the decayed rate of a student with a teacher, but never sets it. */
const publishedSchedule = ({ method }: { method: string }) =>
  isTaught(method) ? ("constant" as const) : ("poly" as const);

export const SETTINGS = {
  ...group("Stage and data", {
    stage: row(choice(["teacher", "student"], "stage"), { help: "what to train" }),
    method: row(choice(Object.keys(METHODS), "name"), {
      help: "how the student learns",
      defaultHelp: DEFAULT_METHOD,
    }),
    /** The student's modality; null for a teacher, which sees all four. */
    modality: row(optional(choice(MODALITIES, "name")), {
      help: "what the student sees",
      defaultHelp: "t1ce",
    }),
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
     * A file of {train, val, test}, or nnU-Net's list of folds; null takes DATA/split.json, or draws a split.
     */
    split: row(optional(path("file")), {
      help: "cases to train, validate and test",
      default: null,
      defaultHelp: "DATA/split.json, or 70/10/20",
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
      help: "the teacher's checkpoint",
      default: null,
      defaultHelp: "the last one trained on the data",
    }),
    /** A checkpoint with the first weights; null draws them from the seed. */
    init: row(optional(path("file")), {
      help: "a checkpoint with the first weights",
      default: null,
      defaultHelp: "drawn from the seed",
    }),
    seed: row(whole(0), { help: "seed of weights and patches", default: 0, page: { label: "Seed" } }),
  }),

  ...group("Network", {
    filters: row(whole(), {
      help: "channels at full resolution",
      default: VNET.filters,
      phantom: 8,
      page: { label: "Filters" },
    }),
    levels: row(whole(2), {
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
    }),
    /** Gradient checkpointing: the same bits in less memory. */
    lowMemory: row(onOff(), {
      help: "recompute activations instead of keeping them: the same result in less memory, slower",
      default: false,
      counts: false,
    }),
    /** GiB; null where it is not known, for WebGPU does not report it. */
    gpuMemory: row(optional(number(0.001)), {
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

  ...group("Training", {
    epochs: row(whole(), {
      help: "passes over the cases",
      default: 1000,
      phantom: 18,
      page: { label: "Epochs" },
    }),
    batch: row(whole(), { help: "patches per step", default: 4, phantom: 2, page: { label: "Batch" } }),
    /** D, H, W. */
    patch: row(extent(), {
      help: "size of a patch in voxels",
      default: [96, 128, 128],
      phantom: [32, 32, 32],
      page: { label: "Patch, voxels" },
    }),
    augment: row(choice(["paper", "nnunet", "none"], "how"), {
      help: "augmentation: flips and scaling (paper), all that nnU-Net does, or none",
      page: { label: "Augmentation" },
      default: SAMPLING.augment,
    }),
    foreground: row(share(), {
      help: "share of patches that must show a labelled voxel (nnU-Net: 0.33)",
      default: SAMPLING.foreground,
    }),
    optimizer: row(choice(["adam", "sgd"], "name"), {
      help: "optimizer",
      default: TRAINING.optimizer,
    }),
    lr: row(number(), {
      help: "learning rate at the start",
      argument: "rate",
      default: TRAINING.lr,
      phantom: 3e-3,
      page: { label: "Learning rate" },
    }),
    schedule: row(choice(["poly", "constant"], "how"), {
      help: "poly lets the learning rate decay to 0",
      default: TRAINING.schedule,
      parity: publishedSchedule,
      parityHelp: "constant with a teacher",
    }),
    weightDecay: row(number(), { help: "L2 regularisation", default: TRAINING.weightDecay }),
    /** "full" fills an epoch's last batch with cases of the next epoch. */
    lastBatch: row(choice(["full", "short"]), {
      help: "fill the last batch with cases of the next epoch, or leave it short",
      default: SAMPLING.lastBatch,
      parity: "short",
    }),
    validateEvery: row(whole(), {
      help: "epochs between validations",
      default: 10,
      phantom: 9,
      parity: 1,
      page: { label: "Validate every … epochs", value: 3 },
    }),
    /** The first epoch that is validated, counted from 1; the last always is. */
    validateFrom: row(whole(), {
      help: "first epoch to validate",
      default: 1,
      parity: afterQuarter,
      parityHelp: "after a quarter",
    }),
    /** Gradients of a larger norm are scaled to this one; 0 for no limit. */
    clip: row(number(), {
      help: "largest norm of the gradients; 0 for no limit (nnU-Net: 12)",
      default: TRAINING.clip,
    }),
    momentum: row(number(), { help: "Nesterov momentum of SGD", default: TRAINING.momentum }),
    bestBy: row(choice(["dice", "ema"], "score"), {
      help: "score of the best checkpoint: mean Dice, or its moving average as in nnU-Net",
      default: "dice",
    }),
    /**
     * Training time after which the stage ends, earlier parts of a resumed run included; null for no limit.
     */
    maxTime: row(optional(duration()), {
      help: "stop after this much training time",
      page: { label: "At most, as 30m or 6h" },
      default: null,
      defaultHelp: "no limit",
      counts: false,
    }),
    patience: row(whole(0), {
      help: "stop after this many validations without a better one; 0 for never",
      page: { label: "Patience, validations" },
      default: 0,
      counts: false,
    }),
    /** How often the state is saved within an epoch; it is saved at the end of each epoch too. */
    saveEvery: row(interval(), {
      help: "how often to save within an epoch",
      default: "5m",
      counts: false,
    }),
    /** Steps in a row, skipped because their loss or gradient is not finite, after which the run ends. */
    maxBadSteps: row(whole(), { help: "stop after this many NaN steps in a row", default: 3, counts: false }),
    /** Threads that load data; 0 for the main thread. The bits are the same. */
    workers: row(whole(0), {
      help: "threads that load data; 0 for the main thread",
      defaultHelp: "one for each core but one, at most 4",
      counts: false,
    }),
    /** GiB of prepared cases that stay in main memory. The bits are the same. */
    cache: row(optional(number()), {
      help: "main memory for cases; others are read again when they are needed",
      argument: "GiB",
      default: null,
      defaultHelp: "half of what there is",
      counts: false,
    }),
    /** Holds prepared cases that do not fit in memory; null for none. The bits are the same. */
    cacheDir: row(optional(path("folder")), {
      help: "folder for prepared cases that do not fit in memory",
      default: null,
      defaultHelp: "none: they are read from their files",
      counts: false,
    }),
    fast: row(onOff(), { help: FAST_HELP, default: false, defaultHelp: "", counts: false }),
  }),

  ...group("Distillation", METHOD_SETTINGS),

  ...INPUT_SETTINGS,
};

export type SettingName = keyof typeof SETTINGS;

/** All settings of a training run, resolved: the content of a stage's config.json. */
export type TrainConfig = { [Name in SettingName]: v.InferOutput<(typeof SETTINGS)[Name]["schema"]> };

/** Some settings, as a user or a file gives them. */
export type GivenSettings = { [Name in SettingName]?: NonNullable<TrainConfig[Name]> };

/** The rows, in the table's order. */
export const ROWS = Object.entries(SETTINGS) as unknown as readonly (readonly [SettingName, Setting])[];
