// Settings of the training loop: its length, batches, optimizer, validations and resources.

import { SAMPLING } from "../../data/sampling/patches.ts";
import { isTaught } from "../../model/methods/index.ts";
import {
  choice,
  duration,
  extent,
  interval,
  number,
  onOff,
  optional,
  path,
  share,
  whole,
} from "../../model/settings/kinds.ts";
import { group, row } from "../../model/settings/rows.ts";
import { TRAINING } from "../loop/options.ts";

/** Help of --fast, in every command that has it. */
export const FAST_HELP = "run without Dawn's bounds checks; PROTOKD_TOGGLES=fast does the same";

/** The first epoch that the published code validates, after a quarter of all. */
const afterQuarter = ({ epochs }: { epochs: number }) => Math.floor(epochs / 4) + 1;

/** The published code computes the decayed rate of a student with a teacher, but never sets it. */
const publishedSchedule = ({ method }: { method: string }) =>
  isTaught(method) ? ("constant" as const) : ("poly" as const);

export const TRAINING_SETTINGS = {
  ...group("Training", {
    epochs: row(whole(), {
      help: "passes over the cases",
      default: 1000,
      phantom: 18,
      page: { label: "Epochs" },
    }),
    batch: row(whole(1, 1024), {
      help: "patches per step",
      default: 4,
      phantom: 2,
      page: { label: "Batch" },
    }),
    /** D, H, W. */
    patch: row(extent(), {
      help: "size of a patch in voxels",
      default: [96, 128, 128],
      phantom: [32, 32, 32],
      page: { label: "Patch, voxels" },
    }),
    augment: row(choice(["paper", "nnunet", "views", "none"], "how"), {
      help: "augmentation: flips and scaling (paper), all that nnU-Net does, a pretraining's (views), or none",
      page: { label: "Augmentation" },
      default: SAMPLING.augment,
      nnunet: "nnunet",
    }),
    foreground: row(share(), {
      help: "share of patches that must show a labelled voxel",
      default: SAMPLING.foreground,
      nnunet: 0.33,
    }),
    optimizer: row(choice(["adam", "sgd"], "name"), {
      help: "optimizer",
      default: TRAINING.optimizer,
      nnunet: "sgd",
    }),
    lr: row(number(0, 10), {
      help: "learning rate at the start",
      argument: "rate",
      default: TRAINING.lr,
      phantom: 3e-3,
      nnunet: 1e-2,
      page: { label: "Learning rate" },
    }),
    schedule: row(choice(["poly", "cosine", "decay", "constant"], "how"), {
      help:
        "poly lets the learning rate decay to 0; cosine lets it rise over the first tenth, then decay; decay " +
        "lets it fall to a hundredth over the last 40 %",
      default: TRAINING.schedule,
      parity: publishedSchedule,
      parityHelp: "constant with a teacher",
    }),
    weightDecay: row(number(0, 10), {
      help: "L2 regularisation",
      default: TRAINING.weightDecay,
      nnunet: 3e-5,
    }),
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
      help: "largest norm of the gradients; 0 for no limit",
      default: TRAINING.clip,
      nnunet: 12,
    }),
    momentum: row(share(), { help: "Nesterov momentum of SGD", default: TRAINING.momentum }),
    bestBy: row(choice(["dice", "ema"], "score"), {
      help: "score of the best checkpoint: mean Dice, or its moving average as in nnU-Net",
      default: "dice",
      nnunet: "ema",
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
    workers: row(whole(0, 128), {
      help: "threads that load data; 0 for the main thread",
      defaultHelp: "one for each core but one, at most 4",
      counts: false,
    }),
    /** GiB of prepared cases that stay in main memory. The bits are the same. */
    cache: row(optional(number(0, 16384)), {
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
};
