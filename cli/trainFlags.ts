// What can be said to the train command, and what is meant where nothing is said.

import { basename, join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { type Modality, MODALITIES } from "../data/datasets.ts";
import { CONVENTION_NAMES, type LabelConvention } from "../data/labels.ts";
import { METHODS } from "../model/methods/index.ts";
import { checkPatch } from "../model/vnet.ts";
import { UsageError } from "./command.ts";
import { DEFAULTS, PAPER, parsePatch, PHANTOM, SMALL, type Stage, type TrainConfig } from "./config.ts";
import { exists } from "./files.ts";

/** What a user may say; what is left out has a default. */
export interface TrainFlags {
  stage: Stage;
  data?: string;
  out?: string;
  modality?: Modality;
  teacher?: string;
  method?: string;
  labels?: LabelConvention;
  split?: string;
  epochs?: number;
  batch?: number;
  patch?: string;
  filters?: number;
  levels?: number;
  validateEvery?: number;
  norm?: TrainConfig["norm"];
  optimizer?: TrainConfig["optimizer"];
  lr?: number;
  weightDecay?: number;
  kdWeight?: number;
  prototypeWeight?: number;
  temperature?: number;
  background?: TrainConfig["background"];
  seed?: number;
  overwrite?: boolean;
}

/** The configuration that flags ask for; the teacher's file is still open. Throws UsageError. */
export async function resolveConfig(flags: TrainFlags): Promise<TrainConfig> {
  const { stage, data = PHANTOM.folder, overwrite: _, ...rest } = flags;
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
  const config: TrainConfig = {
    ...({ ...DEFAULTS, ...sizes, teacher: null, ...given, stage, method, patch } as Omit<
      TrainConfig,
      "modality" | "data" | "out"
    >),
    modality: stage === "student" ? (flags.modality ?? STUDENT) : null,
    data,
    out: flags.out ?? join("runs", basename(resolve(data))),
  };
  try {
    checkPatch(patch, config.levels);
  } catch (error) {
    throw new UsageError(`--${(error as Error).message}`);
  }
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
    .option("--validate-every <n>", `epochs between validations (default: ${sizes("validateEvery")})`, whole)
    .addOption(option("--norm <kind>", "normalisation").choices(["instance", "batch"]).default(DEFAULTS.norm))
    .addOption(
      option("--optimizer <name>", "how parameters are updated")
        .choices(["adam", "sgd"])
        .default(DEFAULTS.optimizer),
    )
    .option("--lr <rate>", `learning rate at the start; it decays to 0 (default: ${sizes("lr")})`, positive)
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
    .addOption(
      option("--background <how>", "outside the brain: 0, or the published code's shift")
        .choices(["zero", "shifted"])
        .default(DEFAULTS.background),
    )
    .option("--seed <n>", "of weights and patches", number({ min: 0, integer: true }), DEFAULTS.seed)
    .option("--overwrite", "replace what --out holds of this stage")
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
