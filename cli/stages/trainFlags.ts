// Flags of train.js and their defaults. The flags of settings come from the table in
// trainer/settings/settings.ts.

import { basename, join, resolve } from "node:path";
import { Command, Option } from "commander";
import { availableParallelism } from "node:os";
import { methodOf, METHODS, PLAIN, unusedSettings, usesTeacher } from "../../model/methods/index.ts";
import { HINTON_WEIGHT } from "../../model/methods/settings.ts";
import { fileSettings } from "./fileSettings.ts";
import { examples, RETUNE_HELP } from "../terminal/command.ts";
import { UsageError } from "../../model/settings/errors.ts";
import {
  checkBatch,
  checkPhases,
  DEFAULTS,
  fittingPatch,
  fittingSupervision,
  parity,
  PHANTOM,
  recipeOf,
  SMALL,
} from "../../trainer/settings/config.ts";
import { checkTeacherSees } from "../../trainer/settings/teacherContrasts.ts";
import { teachersFor, usesNone } from "../../trainer/settings/teachers.ts";
import { withVoices } from "../terminal/console.ts";
import { parseText } from "../terminal/kindOption.ts";
import type { FileSettings } from "../../trainer/settings/check.ts";
import { exists } from "../files/files.ts";
import { parsePatch } from "../../model/settings/kinds.ts";
import type { Setting } from "../../model/settings/rows.ts";
import { checkPretraining, DEFAULT_METHODS } from "../../trainer/settings/pretraining.ts";
import { checkAny, SELF } from "../../trainer/settings/anyContrasts.ts";
import { studentOf, subsetOf } from "../../trainer/settings/contrasts.ts";
import { checkControl } from "../../trainer/settings/controls.ts";
import { checkEach, studentSees } from "../../trainer/settings/eachContrast.ts";
import { RECIPES, ROWS, SETTINGS, type TrainConfig } from "../../trainer/settings/settings.ts";
import { checkUnlabelled } from "../../trainer/settings/unlabelled.ts";

/**
 * The flags of a stage. Those that are not given have defaults: with `parity` the published code's, with
 * `recipe` nnU-Net's.
 */
export type TrainFlags = Omit<FileSettings, "patch"> & {
  patch?: string | TrainConfig["patch"];
  /** A file of settings; flags override it. */
  config?: string;
  resume?: boolean;
  /** A training state from elsewhere, with its settings; flags override them. */
  resumeFrom?: string;
  overwrite?: boolean;
  retune?: boolean;
  /** The version of the phantom to train on. */
  phantom?: "1" | "2";
  debug?: boolean;
};

/** The flags of the command, for one stage or for an experiment of all. */
export type CommandFlags = Omit<TrainFlags, "stage" | "modality"> & {
  stage?: TrainConfig["stage"] | "all";
  /** Contrasts joined by "+"; with --stage all a list of these, separated by commas, or a word of LISTS. */
  modality?: string;
  /** With --stage all: seeds, separated by commas, and whether to train the method's baselines too. */
  seeds?: string;
  baselines?: boolean;
  /** With --stage all: methods, separated by commas. */
  methods?: string;
};

/**
 * Returns the configuration for flags, without a teacher's file unless they name one. Throws a UsageError.
 */
export async function resolveConfig(flags: TrainFlags): Promise<TrainConfig> {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const file = await fileSettings(flags);
  const chosen: TrainFlags = { ...file, ...given };
  const { stage, data = PHANTOM.folder } = chosen;
  if (!stage) throw new UsageError("--stage: say what to train: teacher, student or pretrain");
  if (chosen.parity && chosen.recipe === "nnunet")
    throw new UsageError("--parity, --recipe nnunet: use one of them, not both");
  const method = chosen.method ?? DEFAULT_METHODS[stage];
  checkPretraining({ ...chosen, stage, method }, given);
  if (stage === "teacher" && (chosen.modality || method !== PLAIN || chosen.teacher)) {
    throw new UsageError(
      "--stage teacher: learns from labels, and its contrasts are --teacher-modality: no --modality, --method " +
        "or --teacher",
    );
  }
  if (chosen.resume && chosen.overwrite)
    throw new UsageError("--resume, --overwrite: use one of them, not both");
  const untaught = stage === "student" && !usesTeacher(method, { ...chosen });
  const surplus = chosen.teacher ? "teacher" : given.teacherModality ? "teacherModality" : null;
  if (untaught && surplus) throw new UsageError(`--${flagOf(surplus)}: ${usesNone(method)}`);
  const idle = unusedSettings(method).find((name) => given[name] !== undefined);
  if (idle) throw new UsageError(`--${flagOf(idle)}: the method ${method} does not use it`);
  const small = !chosen.data || (await exists(join(data, "phantom.json")));
  const sizes: typeof DEFAULTS = { ...DEFAULTS, ...(small && SMALL), ...methodOf(method).defaults };
  const patch = typeof chosen.patch === "string" ? parsePatch(chosen.patch) : (chosen.patch ?? sizes.patch);
  const epochs = chosen.epochs ?? sizes.epochs;
  const values: Partial<TrainConfig> = {
    ...sizes,
    workers: defaultWorkers(),
    fast: process.env["PROTOKD_TOGGLES"] === "fast",
    ...(chosen.kdUnits === "hinton" && { kdWeight: HINTON_WEIGHT }),
    ...(chosen.parity && parity({ method, epochs })),
    ...recipeOf(chosen.recipe),
    ...(chosen as FileSettings),
    stage,
    method,
    patch,
    data,
    out: chosen.out ?? defaultOut(data, chosen.fold ?? null),
    modality: stage === "teacher" ? null : studentSees(method, chosen.modality),
    ...taughtBySelf(chosen, given),
    teacherModality: untaught || stage === "pretrain" ? null : teacherSubset(chosen.teacherModality),
    teachers: teachersFor(method, chosen.teachers),
  };
  const config = Object.fromEntries(ROWS.map(([name]) => [name, values[name]])) as TrainConfig;
  if (config.validateFrom > epochs) {
    throw new UsageError(
      `--validate-from: expected at most the ${epochs} epochs, got ${config.validateFrom}`,
    );
  }
  fittingPatch(patch, config.levels);
  fittingSupervision(config, supervisedBy(chosen, method));
  CHECKS.forEach((check) => check(config));
  return config;
}

/** Each throws a UsageError for settings that do not go together. */
const CHECKS = [
  checkBatch,
  checkPhases,
  checkTeacherSees,
  checkAny,
  checkEach,
  checkControl,
  checkUnlabelled,
] as const;

/** Names the recipe or method that asks for deep supervision, and how to mend it, to end a message. */
function supervisedBy({ recipe, deepSupervision }: TrainFlags, method: string): string {
  const isOwn = methodOf(method).defaults?.["deepSupervision"] === true;
  const by =
    recipe === "nnunet" ? "--recipe nnunet" : isOwn && !deepSupervision ? `--method ${method}` : null;
  return by === null ? "" : `, for ${by}: use --levels 4 or more, or --no-deep-supervision`;
}

/** The teacher that `--teacher self` stands for, or the file that it names. */
function taughtBySelf(chosen: TrainFlags, given: TrainFlags): Pick<TrainConfig, "teacher" | "selfTaught"> {
  if (given.teacher === SELF) return { teacher: null, selfTaught: true };
  return { teacher: chosen.teacher ?? null, selfTaught: (chosen.selfTaught ?? false) && !given.teacher };
}

/** The contrasts that a flag or file gives the teacher; null without one. Throws a UsageError. */
function teacherSubset(given: string | null | undefined): string | null {
  const subset = given ? subsetOf("--teacher-modality", given) : null;
  if (subset === null || subset.includes("+")) return subset;
  throw new UsageError(
    `--teacher-modality ${subset}: a teacher sees two contrasts or more: for ${subset} alone, train a student ` +
      `with --method ${PLAIN} --modality ${subset}`,
  );
}

/** One thread for each core but one, at most 4. */
function defaultWorkers(): number {
  return Math.max(1, Math.min(availableParallelism() - 1, 4));
}

/** Returns the flags of a single stage. Throws a UsageError for flags that only --stage all has. */
export function ofOneStage(given: CommandFlags): TrainFlags {
  const { seeds, baselines, methods, modality, stage, ...flags } = given;
  const several = Object.entries({ seeds, methods, baselines }).find(
    ([, value]) => value !== undefined && value !== false,
  );
  if (several) throw new UsageError(`--${several[0]}: goes with --stage all`);
  if (stage === "all") throw new Error("ofOneStage: expected one stage, got all");
  if (modality !== undefined && (modality.includes(",") || LISTS.includes(modality)))
    throw new UsageError(
      `--modality ${modality}: several students go with --stage all; contrasts of one are joined by +, like t1ce+flair`,
    );
  const subset = modality === undefined ? undefined : studentOf("--modality", modality);
  return { ...flags, ...(stage && { stage }), ...(subset !== undefined && { modality: subset }) };
}

/** The default folder of a run; each fold has its own, as in nnU-Net. */
function defaultOut(data: string, fold: TrainConfig["fold"]): string {
  return join("runs", basename(resolve(data)), ...(fold === null ? [] : [`fold_${fold}`]));
}

/** A setting's flag without the dashes. */
export function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The values of --modality that stand for several students. */
export const LISTS: readonly string[] = ["all", "subsets"];

/** The command's options and its help. */
export function trainCommand(): Command {
  const command = new Command("train")
    .description(
      "Trains a teacher, a student of fewer contrasts, the teacher and all its students, or an encoder without labels.",
    )
    .optionsGroup("General:")
    .option("--config <file>", "settings as JSON, such as a run's config.json; flags override it")
    .option(
      "--seeds <list>",
      `with --stage all: train everything once for each, like 0,1,2 (${SETTINGS.seed.limits} each; default: --seed)`,
    )
    .option(
      "--baselines",
      "with --stage all: train the methods that --method is compared with, too (none, kd)",
    )
    .option("--methods <list>", "with --stage all: train each of these methods, like none,kd,protokd")
    .option("--parity", "use the published code's settings, except where flags say otherwise")
    .addOption(
      new Option(
        "--recipe <name>",
        "how to train, except where flags say otherwise: as in the paper, or with nnU-Net's optimizer, " +
          "augmentation, patches and deep supervision (default: paper)",
      ).choices(RECIPES),
    )
    .addOption(
      new Option(
        "--phantom <version>",
        `train on a phantom of this version, in the folder ${PHANTOM.folder} (default: the one there, or a new ` +
          `one of version ${PHANTOM.version})`,
      ).choices(["1", "2"]),
    )
    .option("--retune", RETUNE_HELP)
    .option("--resume", "resume this stage in --out; it ends with the same weights as an uninterrupted run")
    .option("--resume-from <file>", "resume a training state from elsewhere, in a new folder")
    .option("--overwrite", "train this stage anew and replace what --out holds of it");
  withVoices(command);
  for (const [name, row] of ROWS) for (const option of optionsOf(name, row)) command.addOption(option);
  return command.addHelpText(
    "after",
    examples(
      "node cli/train.js --stage student",
      "node cli/train.js --stage teacher --data BraTS2021 --out runs/brats",
      "node cli/train.js --stage student --modality flair --data BraTS2021 --out runs/brats",
      "node cli/train.js --stage student --modality flair --method none --data BraTS2021 --out runs/brats",
      "node cli/train.js --stage student --modality t1ce+flair --data BraTS2021 --out runs/brats",
      "node cli/train.js --stage student --modality any --method kd --teacher self --data BraTS2021 --out runs/brats",
      "node cli/train.js --stage all --modality all --baselines --seeds 0,1,2 --data BraTS2021 --out runs/brats",
      "node cli/train.js --stage all --methods none,kd,protokd,kdnet --modality t1ce --data BraTS2021 --out runs/brats",
      "node cli/train.js --stage all --modality t1,t2,t1ce+flair --data BraTS2021 --out runs/brats",
      "node cli/train.js --stage pretrain --modality t1ce --data Unlabelled --out runs/pretrained",
      "node cli/train.js --config runs/brats/teacher/config.json --seed 1 --out runs/brats-seed1",
    ),
  );
}

/** The flag of a setting; a switch has a second one, --no-..., that overrides a file. */
function optionsOf(name: string, row: Setting): Option[] {
  if (row.flag === false) return [];
  const flag = flagOf(name);
  const heading = `${row.group}:`;
  if (row.argument === null) {
    const off = new Option(`--no-${flag}`, "override a --config file that sets it").hideHelp();
    return [new Option(`--${flag}`, described(name, row)).helpGroup(heading), off];
  }
  const option = new Option(`--${flag} <${row.argument}>`, described(name, row)).helpGroup(heading);
  if (name === "stage") return [option.choices([...row.choices!, "all"])];
  if (name === "modality" || name === "dropWeights") return [option]; // resolveConfig() says more
  if (name === "teacherModality") return [option]; // teacherSubset() says more about a mistake
  if (row.choices) return [option.choices([...row.choices])];
  return [option.argParser((text) => parseText(row, text))];
}

/** A setting's help with its range and defaults, methods' own too: "patches (1 to 1024; default: 4)". */
export function described(name: string, row: Setting): string {
  const { help, limits, defaultHelp = row.default, phantom, parity, parityHelp = parity, nnunet } = row;
  const methods = Object.keys(METHODS).map((method) => [method, methodOf(method).defaults?.[name]]);
  const named = { default: defaultHelp, phantom, parity: parityHelp, nnunet };
  const defaults = [...Object.entries(named), ...methods]
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([of, value]) => `${String(of)}: ${String(value)}`);
  const notes = [...(limits === undefined ? [] : [limits]), ...defaults];
  return notes.length ? `${help} (${notes.join("; ")})` : help;
}
