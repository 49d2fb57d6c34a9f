// Every setting of a training run, one row each. From this table come the flags of train.js and their help, the type
// TrainConfig, what a --config file and config.json may hold, and in what two runs differ.
//
// A new setting is a row, in the group under which --help shall list it:
//
//   /** What its values mean, for whoever reads the code. */
//   clipping: row(number(), { default: 0, help: "largest norm of the gradient; 0 leaves it" }),
//
// The key is its name in files; the flag is the same in kebab case (--clipping). `phantom` is its value on the built-in
// phantom, `parity` the published code's. Its value is `config.clipping` wherever a TrainConfig is at hand.

import * as v from "valibot";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { CONVENTION_NAMES } from "../../data/datasets/labels.ts";
import { SAMPLING } from "../../data/sampling/patches.ts";
import { PREPARATION } from "../../data/preparation/preprocess.ts";
import type { Tuning } from "../../engine/index.ts";
import { CONVENTION_NAMES as EMPTY_CONVENTIONS } from "../../model/scoring/conventions.ts";
import { DEFAULT_METHOD, isTaught, METHOD_SETTINGS, METHODS } from "../../model/methods/index.ts";
import { TRAINING } from "../loop/options.ts";
import { VNET } from "../../model/networks/vnet.ts";
import { TILING } from "../../model/inference/windows.ts";
import { choice, duration, extent, foldNumber, interval, number } from "../../model/settings/kinds.ts";
import { onOff, optional, path, share, whole } from "../../model/settings/kinds.ts";
import { group, row, type Setting } from "../../model/settings/rows.ts";

/** Help of --fast, in every command that has it. */
export const FAST_HELP = "leave out Dawn's bounds checks; PROTOKD_TOGGLES=fast does the same";

/** The first epoch that the published code validates: after a quarter. */
const afterQuarter = ({ epochs }: { epochs: number }) => Math.floor(epochs / 4) + 1;

/** A student's rate is computed there and never set, so that only teachers and students alone decay. */
const publishedSchedule = ({ method }: { method: string }) =>
  isTaught(method) ? ("constant" as const) : ("poly" as const);

export const SETTINGS = {
  ...group("What is trained, and on what", {
    stage: row(choice(["teacher", "student"], "stage"), { help: "what to train" }),
    method: row(choice(Object.keys(METHODS), "name"), {
      help: "how the student learns",
      defaultHelp: DEFAULT_METHOD,
    }),
    /** The student's; null for a teacher, which sees all four. */
    modality: row(optional(choice(MODALITIES, "name")), {
      help: "what the student sees",
      defaultHelp: "t1ce",
    }),
    data: row(path("folder"), {
      help: "BraTS, nnU-Net or Decathlon data",
      defaultHelp: "a phantom, made when missing",
    }),
    out: row(path("folder"), {
      help: "where the run goes",
      defaultHelp: "runs/<name of the data>",
      counts: false,
    }),
    /** Convention of the labels; null detects it. */
    labels: row(optional(choice(CONVENTION_NAMES, "convention")), {
      help: "what label values mean",
      default: null,
      defaultHelp: "by the names",
    }),
    /** A file of {train, val, test}, or nnU-Net's list of folds; null takes DATA/split.json, or else draws one. */
    split: row(optional(path("file")), {
      help: "cases to train, validate and test",
      default: null,
      defaultHelp: "DATA/split.json, or 70/10/20",
    }),
    /** Which fold of a cross-validation is held out, from 0 on; null for a single split. */
    fold: row(optional(foldNumber()), {
      help: "hold out this fold of nnU-Net's cross-validation (0 to 4), or none (all)",
      default: null,
      defaultHelp: "a single split",
    }),
    /** The teacher's checkpoint; null where the method needs none. */
    teacher: row(optional(path("file")), {
      help: "the teacher's checkpoint",
      default: null,
      defaultHelp: "the last one trained on the data",
    }),
    /** A checkpoint whose weights are the first; null draws them from the seed. */
    init: row(optional(path("file")), {
      help: "a checkpoint whose weights are the first",
      default: null,
      defaultHelp: "drawn from the seed",
    }),
    /** Of weights and patches. */
    seed: row(whole(0), { help: "of weights and patches", default: 0, page: { label: "Seed" } }),
  }),

  ...group("Network", {
    filters: row(whole(), {
      help: "channels at full resolution",
      default: VNET.filters,
      phantom: 8,
      page: { label: "Filters" },
    }),
    levels: row(whole(2), {
      help: "resolutions of the network",
      default: VNET.levels,
      phantom: 4,
      page: { label: "Levels" },
    }),
    norm: row(choice(["instance", "batch"]), {
      help: "normalisation",
      default: VNET.norm,
      parity: "batch",
    }),
    /** Whether training segments the decoder's lower resolutions too. */
    deepSupervision: row(onOff(), {
      help: "the decoder's lower resolutions learn to segment too, as nnU-Net's (4 levels or more)",
      default: false,
    }),
    /** Whether the backward pass computes activations again instead of finding them: the same bits. */
    lowMemory: row(onOff(), {
      help: "compute activations again instead of keeping them: the same result in less memory, slower",
      default: false,
      counts: false,
    }),
    /** GiB; null for unknown: WebGPU does not tell. */
    gpuMemory: row(optional(number(0.001)), {
      help: "GiB that training may take of the GPU's memory; more is refused before it begins",
      argument: "GiB",
      default: null,
      defaultHelp: "unknown, or on a CPU the machine's",
      counts: false,
    }),
    /** Of activations and their gradients. */
    precision: row(choice(["f32", "f16"], "kind"), {
      help: "of activations: half precision takes half the memory (needs shader-f16)",
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
    batch: row(whole(), { help: "patches a step", default: 4, phantom: 2, page: { label: "Batch" } }),
    /** D, H, W. */
    patch: row(extent(), {
      help: "voxels of a patch",
      default: [96, 128, 128],
      phantom: [32, 32, 32],
      page: { label: "Patch, voxels" },
    }),
    augment: row(choice(["paper", "nnunet", "none"], "how"), {
      help: "how patches are varied: flips and scaling, all that nnU-Net does, or not",
      page: { label: "Augmentation" },
      default: SAMPLING.augment,
    }),
    /** The share of patches that must show a voxel of some class. */
    foreground: row(share(), {
      help: "share of patches that must show a labelled voxel (nnU-Net: 0.33)",
      default: SAMPLING.foreground,
    }),
    optimizer: row(choice(["adam", "sgd"], "name"), {
      help: "how parameters are updated",
      default: TRAINING.optimizer,
    }),
    /** Learning rate at the start. */
    lr: row(number(), {
      help: "learning rate at the start",
      argument: "rate",
      default: TRAINING.lr,
      phantom: 3e-3,
      page: { label: "Learning rate" },
    }),
    schedule: row(choice(["poly", "constant"], "how"), {
      help: "the rate decays to 0, or not",
      default: TRAINING.schedule,
      parity: publishedSchedule,
      parityHelp: "constant with a teacher",
    }),
    weightDecay: row(number(), { help: "L2 regularisation", default: TRAINING.weightDecay }),
    /** What follows when an epoch's cases do not fill the last batch. */
    lastBatch: row(choice(["full", "short"]), {
      help: "a last batch that the cases do not fill",
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
      help: "the first epoch to validate",
      default: 1,
      parity: afterQuarter,
      parityHelp: "after a quarter",
    }),
    /** The largest norm of a step's gradients, to which larger ones are scaled; 0 for any. */
    clip: row(number(), {
      help: "largest norm of the gradients; 0 for any, nnU-Net's is 12",
      default: TRAINING.clip,
    }),
    /** Of SGD: the share of its velocity that a step keeps. */
    momentum: row(number(), { help: "of SGD, with Nesterov's look ahead", default: TRAINING.momentum }),
    /** What the best checkpoint is best in: the validation's mean Dice, or its moving average. */
    bestBy: row(choice(["dice", "ema"], "score"), {
      help: "the best checkpoint's: mean Dice, or its moving average as in nnU-Net",
      default: "dice",
    }),
    /** Training time after which the stage ends, earlier parts of a resumed run included; null for any. */
    maxTime: row(optional(duration()), {
      help: "end after so much training",
      page: { label: "At most, as 30m or 6h" },
      default: null,
      defaultHelp: "any",
      counts: false,
    }),
    /** Validations without a better one after which the stage ends; 0 for never. */
    patience: row(whole(0), {
      help: "end after so many validations without a better one; 0 for never",
      page: { label: "Patience, validations" },
      default: 0,
      counts: false,
    }),
    /** How often a state is saved within an epoch; at the end of each it always is. */
    saveEvery: row(interval(), {
      help: "how often all is saved within an epoch",
      default: "5m",
      counts: false,
    }),
    /** Steps in a row whose loss or gradient is no number that end the run. */
    maxBadSteps: row(whole(), { help: "steps in a row with NaN that end it", default: 3, counts: false }),
    /** Threads that load data; 0 loads in the main one. The bits are the same. */
    workers: row(whole(0), {
      help: "threads that load data; 0 loads in the main one",
      defaultHelp: "one for each core but one, at most 4",
      counts: false,
    }),
    /** Whether kernels run without Dawn's bounds checks. */
    fast: row(onOff(), { help: FAST_HELP, default: false, defaultHelp: "", counts: false }),
  }),

  ...group("Distillation", METHOD_SETTINGS),

  ...group("Input and scores", {
    background: row(choice(["zero", "shifted"]), {
      help: "outside the brain: 0, or shifted with the rest",
      default: PREPARATION.background,
      parity: "shifted",
    }),
    crop: row(choice(["brain", "published"]), {
      help: "what is kept of a volume",
      default: PREPARATION.crop,
      parity: "published",
    }),
    padding: row(choice(["background", "zero"]), {
      help: "around a volume smaller than the patch",
      default: PREPARATION.padding,
      parity: "zero",
    }),
    offsets: row(choice(["inclusive", "exclusive"]), {
      help: "whether the last place of a patch is drawn",
      default: SAMPLING.offsets,
      parity: "exclusive",
    }),
    /** How the windows of validation and test are laid and weighed. */
    window: row(choice(["gaussian", "uniform"], "how"), {
      help: "how the windows of a prediction are weighed",
      default: TILING.weighting,
      parity: "uniform",
    }),
    /** Whether small or stray pieces of test predictions are taken away, as raises the validation cases' Dice. */
    postprocessing: row(choice(["validation", "none"], "by"), {
      help: "what chooses the post-processing of test predictions",
      default: "validation",
      parity: "none",
    }),
    /** Where test cases are scored: in the source's whole grid, or in what the network was given of it. */
    scoring: row(choice(["source", "crop"]), {
      help: "where test cases are scored",
      default: "source",
      parity: "crop",
    }),
    /** What empty regions score. */
    convention: row(choice(EMPTY_CONVENTIONS), {
      help: "what empty regions score",
      default: "brats",
      parity: "protokd",
    }),
  }),

  ...group("Of the run itself", {
    /** Which kernels convolve; null until the device is open. */
    tuning: row(
      optional({
        schema: v.custom<Tuning>((value) => typeof value === "object"), // whether it fits, the adapter says
        expected: "a choice of kernels",
        argument: "kernels",
        parse: (text) => text,
      }),
      { help: "which kernels convolve", default: null, flag: false, counts: false },
    ),
  }),
};

export type SettingName = keyof typeof SETTINGS;

/** What a training run is: every choice, resolved. config.json of a stage holds just this. */
export type TrainConfig = { [Name in SettingName]: v.InferOutput<(typeof SETTINGS)[Name]["schema"]> };

/** Some settings: what a user says of them, or a file. */
export type Said = { [Name in SettingName]?: NonNullable<TrainConfig[Name]> };

/** The rows, in the table's order. */
export const ROWS = Object.entries(SETTINGS) as unknown as readonly (readonly [SettingName, Setting])[];
