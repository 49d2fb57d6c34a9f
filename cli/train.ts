// node cli/train.js --stage teacher|student: trains one stage. Without data it makes the phantom, without a
// teacher it takes the last one trained on the data, or trains one.

import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { type Modality, MODALITIES } from "../data/datasets.ts";
import { CONVENTION_NAMES, type LabelConvention } from "../data/labels.ts";
import type { Device } from "../engine/index.ts";
import { METHODS } from "../model/methods/index.ts";
import { checkPatch } from "../model/vnet.ts";
import { isMain, runCommand, UsageError } from "./command.ts";
import {
  DEFAULTS,
  PAPER,
  parsePatch,
  PHANTOM,
  SMALL,
  type Stage,
  stageName,
  type TrainConfig,
} from "./config.ts";
import { makePhantom } from "./phantomFolder.ts";
import { scoreTable, writeReport } from "./runReport.ts";
import { FILES, finished, readConfig, readTeacherCard, trainStage } from "./stage.ts";

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

/** What happens to a stage's folder that is there already: a finished one of the same settings is kept, or not. */
export interface Existing {
  finished?: "keep" | "replace";
  unfinished?: "refuse" | "replace";
}

/**
 * Trains the stage of `config`, and before it a teacher where one is needed and none is found; returns the
 * configuration with its teacher. `open` is called when all has been checked.
 */
export async function train(
  open: () => Promise<Device>,
  config: TrainConfig,
  existing: Existing = {},
): Promise<TrainConfig> {
  if (!(await exists(config.data)) && config.data === PHANTOM.folder) {
    await makePhantom({ out: config.data, ...PHANTOM, report: (line) => console.log(line) });
  }
  if (METHODS[config.method]!.teacher && !config.teacher) {
    config = { ...config, teacher: await findTeacher(config) };
  }
  if (METHODS[config.method]!.teacher && !config.teacher) {
    console.log("no teacher has been trained on these data: training one first");
    const teacher: TrainConfig = {
      ...config,
      stage: "teacher",
      modality: null,
      method: "none",
      teacher: null,
    };
    await train(open, teacher, existing);
    config = { ...config, teacher: join(config.out, stageName(teacher), FILES.best) };
  }
  if (config.teacher) await readTeacherCard(config); // is it there, and one of ours?
  const folder = join(config.out, stageName(config));
  const held = await readdir(folder).catch((error: NodeJS.ErrnoException) =>
    error.code === "ENOENT" ? [] : [folder],
  );
  if (held.length && !(await readConfig(folder))) {
    throw new UsageError(
      `${folder}: holds ${held[0]}, but no run: nothing here is deleted; choose another --out`,
    );
  }
  if (existing.finished !== "replace" && (await finished(config))) {
    console.log(`${folder}: already trained with these settings; --overwrite trains it again`);
    return config;
  }
  if (existing.unfinished !== "replace" && held.length) {
    throw new UsageError(
      `${folder}: holds an unfinished run: replace it with --overwrite, or choose another --out`,
    );
  }
  await trainStage(open, config);
  const shown = config.teacher ? [...(await teacherStage(config)), config] : [config];
  await writeReport(join(folder, FILES.report), `ProtoKD: ${stageName(config)}`, shown);
  return config;
}

/** The last teacher trained on the same data: under --out, or in a run beside it. */
async function findTeacher({ out, data }: TrainConfig): Promise<string | null> {
  const beside = (await readdir(join(out, "..")).catch(() => [])).map((name) => join(out, "..", name));
  let last: { path: string; time: number } | null = null;
  for (const run of new Set([out, ...beside])) {
    const config = await readConfig(join(run, "teacher"));
    if (!config || resolve(config.data) !== resolve(data) || !(await finished({ ...config, out: run })))
      continue;
    const path = join(run, "teacher", FILES.best);
    const time = (await stat(path).catch(() => null))?.mtimeMs ?? 0;
    if (time && (!last || time > last.time)) last = { path, time };
    if (run === out && last) break; // a run's own teacher comes first
  }
  if (last) console.log(`teacher: ${last.path}`);
  return last?.path ?? null;
}

/** The teacher's own stage, where its folder is at hand, for the report. */
async function teacherStage({ teacher, out }: TrainConfig): Promise<TrainConfig[]> {
  const folder = resolve(teacher!, "..");
  const config = basename(folder) === "teacher" ? await readConfig(folder) : null;
  return config ? [{ ...config, out: folder === resolve(out, "teacher") ? out : resolve(folder, "..") }] : [];
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

/** What a student sees unless said otherwise: the contrast that shows most of a tumour's core. */
const STUDENT: Modality = "t1ce";

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

function command(): Command {
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

async function main(flags: TrainFlags): Promise<void> {
  const config = await resolveConfig(flags);
  let device: Device | null = null;
  const open = async () => (device ??= await (await import("./gpu.ts")).openDevice());
  const done = await train(
    open,
    config,
    flags.overwrite ? { finished: "replace", unfinished: "replace" } : {},
  );
  console.log(await scoreTable([...(done.teacher ? await teacherStage(done) : []), done]));
  console.log(`report: ${join(done.out, stageName(done), FILES.report)}`);
}

if (isMain(import.meta.url)) process.exitCode = await runCommand<TrainFlags>(command(), main);
