// What can be said to the train command, and what is meant where nothing is said.

import { basename, join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { type Modality, MODALITIES } from "../data/datasets.ts";
import { CONVENTION_NAMES } from "../data/labels.ts";
import { CONVENTION_NAMES as EMPTY_CONVENTIONS } from "../model/conventions.ts";
import { METHODS } from "../model/methods/index.ts";
import { FAST_HELP, RETUNE_HELP, UsageError } from "./command.ts";
import { DEFAULTS, fittingPatch, PAPER, PARITY, parity, parsePatch, PHANTOM, SMALL } from "./config.ts";
import { trainingOptions } from "./config.ts";
import type { Stage, TrainConfig } from "./config.ts";
import { parseInterval } from "./durations.ts";
import { exists } from "./files.ts";

type Settings = Omit<TrainConfig, "stage" | "patch">;

/** What a user may say; what is left out has a default, which is the published code's with `parity`. */
export type TrainFlags = { [Key in keyof Settings]?: NonNullable<Settings[Key]> } & {
  stage: Stage;
  patch?: string;
  parity?: boolean;
  overwrite?: boolean;
  resume?: boolean;
  retune?: boolean;
  debug?: boolean;
};

/** The configuration that flags ask for; the teacher's file is still open. Throws UsageError. */
export async function resolveConfig(flags: TrainFlags): Promise<TrainConfig> {
  const {
    stage,
    data = PHANTOM.folder,
    parity: published,
    overwrite: _o,
    resume: _s,
    retune: _r,
    debug: _d,
    ...rest
  } = flags;
  const method = flags.method ?? (stage === "student" ? "protokd" : "none");
  if (stage === "teacher" && (flags.modality || method !== "none" || flags.teacher)) {
    throw new UsageError(
      "--stage teacher: sees all modalities and learns from labels: no --modality, --method or --teacher",
    );
  }
  if (flags.teacher && !METHODS[method]!.teacher)
    throw new UsageError(`--teacher: the method ${method} has none`);
  const sizes = !flags.data || (await exists(join(data, "phantom.json"))) ? SMALL : PAPER;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  const patch = flags.patch ? parsePatch(flags.patch) : sizes.patch;
  const epochs = flags.epochs ?? sizes.epochs;
  const config: TrainConfig = {
    ...{ ...DEFAULTS, ...sizes, ...(published && parity({ method, epochs })) },
    ...{ fast: process.env["PROTOKD_TOGGLES"] === "fast", ...(given as Omit<typeof rest, "patch">) },
    ...{ stage, method, patch, data, out: flags.out ?? join("runs", basename(resolve(data))) },
    modality: stage === "student" ? (flags.modality ?? STUDENT) : null,
  };
  if (config.validateFrom > epochs) {
    throw new UsageError(
      `--validate-from: expected at most the ${epochs} epochs, got ${config.validateFrom}`,
    );
  }
  fittingPatch(patch, config.levels);
  if (flags.resume && flags.overwrite) throw new UsageError("--resume and --overwrite: expected one of them");
  trainingOptions(config); // are its times well said?
  parseInterval(config.saveEvery, "--save-every");
  return config;
}

/** What a student sees unless said otherwise: the contrast that shows most of a tumour's core. */
const STUDENT: Modality = "t1ce";

/** The command's options and its help. */
export function trainCommand(): Command {
  const sizes = (key: keyof typeof PAPER) => `${PAPER[key]}; phantom: ${SMALL[key]}`;
  const option = (flags: string, text: string) => new Option(flags, text);
  return new Command("train")
    .description("Trains a teacher of four modalities, or a student of one.")
    .addOption(
      option("--stage <stage>", "what to train").choices(["teacher", "student"]).makeOptionMandatory(),
    )
    .option("--data <folder>", "BraTS, nnU-Net or Decathlon data (default: a phantom, made when missing)")
    .option("--out <folder>", "where the run goes (default: runs/<name of the data>)")
    .addOption(option("--modality <name>", "what the student sees (default: t1ce)").choices([...MODALITIES]))
    .option("--teacher <file>", "the teacher's checkpoint (default: the last one trained on the data)")
    .option("--init <file>", "a checkpoint whose weights are the first (default: drawn from the seed)")
    .addOption(
      option("--method <name>", "how the student learns (default: protokd)").choices(Object.keys(METHODS)),
    )
    .addOption(
      option("--labels <convention>", "what label values mean (default: by the names)").choices([
        ...CONVENTION_NAMES,
      ]),
    )
    .option("--split <file>", "cases to train, validate and test (default: DATA/split.json, or 70/10/20)")
    .option("--epochs <n>", `passes over the cases (default: ${sizes("epochs")})`, whole)
    .option("--batch <n>", `patches a step (default: ${sizes("batch")})`, whole)
    .option("--patch <d,h,w>", `voxels of a patch (default: ${sizes("patch")})`)
    .option("--filters <n>", `channels at full resolution (default: ${sizes("filters")})`, whole)
    .option(
      "--levels <n>",
      `resolutions of the network (default: ${sizes("levels")})`,
      number({ min: 2, integer: true }),
    )
    .option(
      "--validate-every <n>",
      `epochs between validations (default: ${sizes("validateEvery")}; parity: ${PARITY.validateEvery})`,
      whole,
    )
    .option(
      "--validate-from <n>",
      `the first epoch to validate (default: ${DEFAULTS.validateFrom}; parity: after a quarter)`,
      whole,
    )
    .addOption(
      option("--optimizer <name>", "how parameters are updated")
        .choices(["adam", "sgd"])
        .default(DEFAULTS.optimizer),
    )
    .option("--lr <rate>", `learning rate at the start (default: ${sizes("lr")})`, positive)
    .addOption(
      option(
        "--schedule <how>",
        `the rate decays to 0, or not (default: ${DEFAULTS.schedule}; parity: constant with a teacher)`,
      ).choices(["poly", "constant"]),
    )
    .option("--weight-decay <x>", "L2 regularisation", positive, DEFAULTS.weightDecay)
    .option("--kd-weight <x>", "weight of the pixel-wise distillation", positive, DEFAULTS.kdWeight)
    .option(
      "--prototype-weight <x>",
      "weight of the prototype distillation",
      positive,
      DEFAULTS.prototypeWeight,
    )
    .option(
      "--temperature <x>",
      "softens the predictions compared",
      number({ min: 1e-3 }),
      DEFAULTS.temperature,
    )
    .option(
      "--clip <norm>",
      "scale a step's gradients down to this norm; nnU-Net: 12; 0 for any",
      positive,
      DEFAULTS.clip,
    )
    .option("--momentum <x>", "of SGD, with Nesterov's look ahead", positive, DEFAULTS.momentum)
    .option(
      "--max-time <time>",
      "end the stage after so much training, as 6h, 90m or 30s, resumed parts included",
    )
    .option(
      "--patience <n>",
      "end after so many validations without a better one; 0 for never",
      number({ min: 0, integer: true }),
      DEFAULTS.patience,
    )
    .addOption(
      option("--best-by <score>", "the best checkpoint's: mean Dice, or its moving average as nnU-Net's")
        .choices(["dice", "ema"])
        .default(DEFAULTS.bestBy),
    )
    .option(
      "--save-every <interval>",
      "within an epoch: a time, or steps; each epoch ends with it",
      DEFAULTS.saveEvery,
    )
    .option("--max-bad-steps <n>", "steps in a row with NaN that end the run", whole, DEFAULTS.maxBadSteps)
    .option("--seed <n>", "of weights and patches", number({ min: 0, integer: true }), DEFAULTS.seed)
    .option("--fast", FAST_HELP)
    .addOption(
      option("--precision <kind>", "of activations: half precision takes half the memory (needs shader-f16)")
        .choices(["f32", "f16"])
        .default(DEFAULTS.precision),
    )
    .option("--retune", RETUNE_HELP)
    .option("--resume", "go on with what --out holds of this stage, to the same bits as without a stop")
    .option("--overwrite", "replace what --out holds of this stage")
    .option("--parity", "the published code's choice of all the following, but of those that are given")
    .addOption(parityOption("norm", "normalisation", ["instance", "batch"]))
    .addOption(
      parityOption("background", "outside the brain: 0, or shifted with the rest", ["zero", "shifted"]),
    )
    .addOption(parityOption("crop", "what is kept of a volume", ["brain", "published"]))
    .addOption(parityOption("padding", "around a volume smaller than the patch", ["background", "zero"]))
    .addOption(
      parityOption("offsets", "whether the last place of a patch is drawn", ["inclusive", "exclusive"]),
    )
    .addOption(parityOption("lastBatch", "when the cases do not fill it", ["full", "short"]))
    .addOption(parityOption("scoring", "where test cases are scored", ["source", "crop"]))
    .addOption(parityOption("convention", "what empty regions score", EMPTY_CONVENTIONS))
    .addHelpText(
      "after",
      `
Examples:
  node cli/train.js --stage student
  node cli/train.js --stage teacher --data BraTS2021 --out runs/brats
  node cli/train.js --stage student --modality flair --data BraTS2021 --out runs/brats
  node cli/train.js --stage student --modality flair --method none --data BraTS2021 --out runs/brats`,
    );
}

/** An option of which --parity is a choice. */
function parityOption(
  key: keyof typeof DEFAULTS & keyof typeof PARITY,
  text: string,
  choices: readonly string[],
): Option {
  const flag = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const meant = `default: ${DEFAULTS[key]}; parity: ${PARITY[key]}`;
  return new Option(`--${flag} <choice>`, `${text} (${meant})`).choices([...choices]);
}

/** A number within bounds, as commander parses it. */
function number({ min, integer = false }: { min: number; integer?: boolean }): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isFinite(value) && value >= min && (!integer || Number.isInteger(value)))
      return value;
    throw new InvalidArgumentError(`expected ${integer ? "an integer" : "a number"} of at least ${min}.`);
  };
}

const whole = number({ min: 1, integer: true });
const positive = number({ min: 0 });
