// What can be said to the train command, and what is meant where nothing is said. The settings themselves are rows of
// settings.ts.

import { basename, join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { availableParallelism } from "node:os";
import * as v from "valibot";
import { type Modality, MODALITIES } from "../../data/datasets/datasets.ts";
import { DEFAULT_METHOD, isTaught, METHOD_SETTINGS, methodOf, PLAIN } from "../../model/methods/index.ts";
import { examples, RETUNE_HELP } from "../terminal/command.ts";
import { UsageError } from "../../model/settings/errors.ts";
import {
  DEFAULTS,
  fittingPatch,
  fittingSupervision,
  parity,
  PHANTOM,
  SMALL,
} from "../../trainer/settings/config.ts";
import { withVoices } from "../terminal/console.ts";
import { settingsIn } from "../files/imported.ts";
import type { FileSettings } from "../../trainer/settings/check.ts";
import { ofThisStage, readSettings } from "../terminal/configFile.ts";
import { exists } from "../files/files.ts";
import { type Kind, parsePatch } from "../../model/settings/kinds.ts";
import type { Setting } from "../../model/settings/rows.ts";
import { ROWS, type TrainConfig } from "../../trainer/settings/settings.ts";

/** What a user may say; what is left out has a default, which is the published code's with `parity`. */
export type TrainFlags = Omit<FileSettings, "patch"> & {
  patch?: string | TrainConfig["patch"];
  /** A file of settings; flags override it. */
  config?: string;
  resume?: boolean;
  /** A training's file from elsewhere: it says the settings, flags override them. */
  resumeFrom?: string;
  overwrite?: boolean;
  retune?: boolean;
  debug?: boolean;
};

/** What the command may be told: a stage, or an experiment of all. */
export type CommandFlags = Omit<TrainFlags, "stage" | "modality"> & {
  stage?: TrainConfig["stage"] | "all";
  /** One, or for all stages several with commas between, or "all". */
  modality?: string;
  /** Of an experiment: its seeds, with commas between, and whether what it is compared with is trained too. */
  seeds?: string;
  baselines?: boolean;
};

/** The configuration that flags ask for; the teacher's file is still open. Throws UsageError. */
export async function resolveConfig(flags: TrainFlags): Promise<TrainConfig> {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const file = await fileSettings(flags);
  const said: TrainFlags = { ...file, ...given };
  const { stage, data = PHANTOM.folder } = said;
  if (!stage) throw new UsageError("--stage: say what to train: teacher or student");
  const method = said.method ?? (stage === "student" ? DEFAULT_METHOD : PLAIN);
  if (stage === "teacher" && (said.modality || method !== PLAIN || said.teacher)) {
    throw new UsageError(
      "--stage teacher: sees all modalities and learns from labels: no --modality, --method or --teacher",
    );
  }
  if (said.resume && said.overwrite) throw new UsageError("--resume and --overwrite: say one of them");
  if (said.teacher && !isTaught(method)) throw new UsageError(`--teacher: the method ${method} has none`);
  const own = methodOf(method).settings;
  const idle = Object.keys(METHOD_SETTINGS).find((name) => !(name in own) && given[name] !== undefined);
  if (idle) throw new UsageError(`--${flagOf(idle)}: the method ${method} does not use it`);
  const small = !said.data || (await exists(join(data, "phantom.json")));
  const sizes = { ...DEFAULTS, ...(small && SMALL) };
  const patch = typeof said.patch === "string" ? parsePatch(said.patch) : (said.patch ?? sizes.patch);
  const epochs = said.epochs ?? sizes.epochs;
  const values: Partial<TrainConfig> = {
    ...{
      ...sizes,
      workers: defaultWorkers(),
      ...methodOf(method).defaults,
      ...(said.parity && parity({ method, epochs })),
    },
    ...{ fast: process.env["PROTOKD_TOGGLES"] === "fast", ...(said as FileSettings) },
    ...{ stage, method, patch, data, out: said.out ?? defaultOut(data, said.fold ?? null) },
    modality: stage === "student" ? (said.modality ?? STUDENT) : null,
  };
  const config = Object.fromEntries(ROWS.map(([name]) => [name, values[name]])) as TrainConfig;
  if (config.validateFrom > epochs) {
    throw new UsageError(
      `--validate-from: expected at most the ${epochs} epochs, got ${config.validateFrom}`,
    );
  }
  fittingPatch(patch, config.levels);
  fittingSupervision(config);
  return config;
}

/** One thread for each core but one, at most 4. */
function defaultWorkers(): number {
  return Math.max(1, Math.min(availableParallelism() - 1, 4));
}

/** What a file says, if one is given: of settings, or a training's. */
async function fileSettings({ config, resumeFrom, resume, stage }: TrainFlags): Promise<FileSettings> {
  if (resumeFrom === undefined)
    return config === undefined ? {} : ofThisStage(await readSettings(config), stage);
  const other = config !== undefined ? "--config" : resume ? "--resume" : null;
  if (other) throw new UsageError(`--resume-from and ${other}: say one of them`);
  const settings = await settingsIn(resumeFrom);
  if (stage === undefined || settings.stage === undefined || settings.stage === stage) return settings;
  throw new UsageError(`--stage ${stage}: ${resumeFrom} is the training of a ${settings.stage}`);
}

/** The flags of a single stage. Throws a UsageError for those that only --stage all has. */
export function ofOneStage({ seeds, baselines, modality, stage, ...flags }: CommandFlags): TrainFlags {
  if (seeds !== undefined || baselines)
    throw new UsageError(`--${seeds !== undefined ? "seeds" : "baselines"}: goes with --stage all`);
  if (stage === "all") throw new Error("ofOneStage: expected one stage, got all");
  const known = MODALITIES.find((name) => name === modality);
  if (modality !== undefined && !known)
    throw new UsageError(
      `--modality: expected one of ${MODALITIES.join(", ")} (or, with --stage all, several), got ${modality}`,
    );
  return { ...flags, ...(stage && { stage }), ...(known && { modality: known }) };
}

/** Where a run goes unless said otherwise; each fold has a folder of its own, as in nnU-Net. */
function defaultOut(data: string, fold: TrainConfig["fold"]): string {
  return join("runs", basename(resolve(data)), ...(fold === null ? [] : [`fold_${fold}`]));
}

/** A setting's flag without the dashes. */
function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** What a student sees unless said otherwise: the contrast that shows most of a tumour's core. */
const STUDENT: Modality = "t1ce";

/** The command's options and its help. */
export function trainCommand(): Command {
  const command = new Command("train")
    .description("Trains a teacher of four modalities, a student of one, or the teacher and all students.")
    .optionsGroup("How it is asked for:")
    .option("--config <file>", "settings as JSON, such as a run's config.json; flags override it")
    .option(
      "--seeds <list>",
      "with --stage all: everything once for each, like 0,1,2 (default: that of --seed)",
    )
    .option("--baselines", "with --stage all: the methods that this one is compared with, too")
    .option("--parity", "the published code's choice of all that have one, but of those that are given")
    .option("--retune", RETUNE_HELP)
    .option("--resume", "go on with what --out holds of this stage, to the same bits as without a stop")
    .option("--resume-from <file>", "go on, in a new folder, with the training in a file from elsewhere")
    .option("--overwrite", "replace what --out holds of this stage");
  withVoices(command);
  for (const [name, row] of ROWS) for (const option of optionsOf(name, row)) command.addOption(option);
  return command.addHelpText(
    "after",
    examples(
      "node cli/train.js --stage student",
      "node cli/train.js --stage teacher --data BraTS2021 --out runs/brats",
      "node cli/train.js --stage student --modality flair --data BraTS2021 --out runs/brats",
      "node cli/train.js --stage student --modality flair --method none --data BraTS2021 --out runs/brats",
      "node cli/train.js --stage all --modality all --baselines --seeds 0,1,2 --data BraTS2021 --out runs/brats",
      "node cli/train.js --config runs/brats/teacher/config.json --seed 1 --out runs/brats-seed1",
    ),
  );
}

/** The flags of a setting: one, and for a switch another that unsets what a file says. */
function optionsOf(name: string, row: Setting): Option[] {
  if (row.flag === false) return [];
  const flag = flagOf(name);
  const heading = `${row.group}:`;
  if (row.argument === null) {
    const off = new Option(`--no-${flag}`, "against a --config file that says it").hideHelp();
    return [new Option(`--${flag}`, described(row)).helpGroup(heading), off];
  }
  const option = new Option(`--${flag} <${row.argument}>`, described(row)).helpGroup(heading);
  if (name === "stage") return [option.choices([...row.choices!, "all"])];
  if (name === "modality") return [option]; // which of an experiment is a list
  if (row.choices) return [option.choices([...row.choices])];
  return [option.argParser((text) => parseText(row, text))];
}

/** The value of a text of the command line, as commander parses it. */
function parseText<Value>({ parse, schema, expected }: Kind<Value>, text: string): Value {
  const value = parse(text);
  if (v.is(schema, value)) return value;
  throw new InvalidArgumentError(`expected ${expected}.`);
}

/** A setting's help, with what is meant where nothing is said: "patches a step (default: 4; phantom: 2)". */
export function described(row: Setting): string {
  const { help, defaultHelp = row.default, phantom, parity, parityHelp = parity } = row;
  const meant = Object.entries({ default: defaultHelp, phantom, parity: parityHelp })
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([what, value]) => `${what}: ${String(value)}`);
  return meant.length ? `${help} (${meant.join("; ")})` : help;
}
