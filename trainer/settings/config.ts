// Values derived from a run's settings: defaults, the published code's choices, names of stages, and the
// options of the network, the data and the training loop.

import { type Modality, MODALITIES } from "../../data/datasets/datasets.ts";
import { contrastsIn, EACH, isAny, isEach } from "../../data/datasets/subsets.ts";
import type { AffineChoice } from "../../data/preparation/grids.ts";
import type { Preparation } from "../../data/preparation/preprocess.ts";
import { checkPatch } from "../../model/networks/patch.ts";
import { Phases } from "../loop/phases.ts";
import type { Limits } from "../loop/position.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import {
  classifies,
  methodOf,
  METHODS,
  type NetworkSpec,
  PLAIN,
  type Run,
  titleOf,
  unusedSettings,
} from "../../model/methods/index.ts";
import { channelCount } from "../../model/networks/anyContrasts.ts";
import { checkDeepSupervision, VNET, type VnetConfig } from "../../model/networks/vnet.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { parseDuration } from "../../model/settings/durations.ts";
import type { SamplerOptions } from "../../data/sampling/patches.ts";
import { dropWeightsIn } from "./contrasts.ts";
import { type Recipe, ROWS, type SettingName, SETTINGS, type TrainConfig } from "./settings.ts";

export type { TrainConfig } from "./settings.ts";
export type Stage = TrainConfig["stage"];

type Column = "default" | "phantom" | "parity" | "nnunet";

/** The settings with a value in a column of the table, one that does not depend on the run. */
type Having<Key extends Column> = {
  [
    Name in SettingName as Table[Name] extends Record<Key, infer Value>
      ? Value extends (...run: never[]) => unknown
        ? never
        : Name
      : never
  ]: TrainConfig[Name];
};
type Table = typeof SETTINGS;

function values<Key extends Column>(column: Key): Readonly<Having<Key>> {
  const found = ROWS.filter(([, row]) => row[column] !== undefined && typeof row[column] !== "function");
  return Object.fromEntries(found.map(([name, row]) => [name, row[column]])) as unknown as Having<Key>;
}

/** The default settings, those of the published experiment. */
export const DEFAULTS = values("default");

/** The defaults that differ on the built-in phantom. */
export const SMALL = values("phantom");

/** The published code's settings that differ from the defaults and do not depend on the run. */
export const PARITY = values("parity");

/** The settings that --parity stands for, in a run of this method and number of epochs. */
export function parity(run: Pick<TrainConfig, "method" | "epochs">): Partial<TrainConfig> {
  const found = ROWS.filter(([, row]) => row.parity !== undefined);
  return Object.fromEntries(
    found.map(([name, { parity }]) => [name, typeof parity === "function" ? parity(run) : parity]),
  );
}

/**
 * The settings that nnU-Net v2 trains with, where they differ from the defaults: nnUNetTrainer's initial_lr,
 * weight_decay, oversample_foreground_percent and enable_deep_supervision, the SGD of configure_optimizers()
 * (Nesterov momentum 0.99 and a polynomial decay with exponent 0.9, as in the defaults), the clipping of
 * train_step(), the augmentation of get_training_transforms(), and the moving average of on_epoch_end().
 * (Isensee et al., Nature Methods 18, 203-211, 2021; github.com/MIC-DKFZ/nnUNet.) Network, patch, batch and
 * epochs stay, which nnU-Net plans for each data set.
 */
export const NNUNET = values("nnunet");

/** The settings that --recipe stands for. */
export function recipeOf(recipe: Recipe | undefined): Partial<TrainConfig> {
  return recipe === "nnunet" ? NNUNET : {};
}

/** The phantom that is made when no data are given. */
export const PHANTOM = { folder: "phantom", cases: 60, size: 48, seed: 1, version: 2 } as const;

/** The settings that name a stage; files of older versions lack the last two. */
type Named = Pick<TrainConfig, "stage" | "modality" | "method"> &
  Partial<Pick<TrainConfig, "selfTaught" | "control">>;

/** The folder of a stage under --out. */
export function stageName({ stage, modality, method, selfTaught, control = "none" }: Named): string {
  if (stage === "teacher") return "teacher";
  if (stage === "pretrain") return `pretrain_${modality!}_${method}`;
  const student = `student_${modality!.replace(":", "-")}`; // Windows allows no colon
  const suffix = (selfTaught ? "_self" : "") + (control === "none" ? "" : `_${control}`);
  return method === PLAIN ? student : `${student}_${method}${suffix}`;
}

/** Tells whether a folder is that of a stage whose network sees each of several contrasts alone. */
export function isEachStage(folder: string): boolean {
  return folder.startsWith(`student_${EACH}`);
}

/** Tells whether a folder is that of a stage whose network classifies. */
export function isClassifierStage(folder: string): boolean {
  const [stage, , method = ""] = folder.split("_");
  return stage === "student" && classifies(method);
}

/** A stage in words, for tables and reports. */
export function stageTitle(config: Named & Seeing): string {
  const { stage, method, selfTaught, control = "none" } = config;
  const { modalities, any, each } = networkContrasts(config);
  const name = stage === "pretrain" ? "pretraining" : stage;
  const title = `${name} (${any ? "any of " : each ? "each of " : ""}${modalities.join(", ")})`;
  if (stage === "teacher") return title;
  if (stage === "pretrain") return `${title} with ${titleOf(method)}`;
  if (method === PLAIN) return `${title} ${titleOf(PLAIN)}`;
  const changed = control === "none" ? "" : `, ${CONTROL_TITLES[control]}`;
  return `${title} with ${titleOf(method)}${selfTaught ? ", taught by itself" : ""}${changed}`;
}

/** The controls in titles: "with a shuffled teacher". */
export const CONTROL_TITLES = {
  shuffled: "shuffled teacher",
  twin: "twin teacher",
  untrained: "untrained teacher",
} as const satisfies Record<Exclude<TrainConfig["control"], "none">, string>;

/** The network of this stage, with its modalities. */
export function networkSpec(config: TrainConfig): NetworkSpec {
  return { config: networkConfig(config), ...networkContrasts(config) };
}

export function networkConfig(config: TrainConfig): VnetConfig {
  const { filters, levels, norm, deepSupervision } = config;
  const modalities = channelCount(networkContrasts(config));
  return { modalities, classes: VNET.classes, filters, levels, norm, deepSupervision };
}

/** The modalities that the network of this stage sees, in channel order. */
export function networkModalities({ modality, teacherModality }: Seeing): Modality[] {
  const seen = modality ?? teacherModality;
  return seen === null ? [...MODALITIES] : contrastsIn(seen);
}

/** The same, and whether it takes any of them, or sees one at a time. */
export function networkContrasts(config: Seeing): { modalities: Modality[]; any?: true; each?: true } {
  const modalities = networkModalities(config);
  if (isEach(config.modality)) return { modalities, each: true };
  return isAny(config.modality) ? { modalities, any: true } : { modalities };
}

/** The settings that say what a network sees. */
export type Seeing = Pick<TrainConfig, "modality" | "teacherModality">;

/** How this run prepares a network's input. */
export function preparation({ background, crop, padding }: TrainConfig): Preparation {
  return { background, crop, padding };
}

/** How this run reads the files of a case and prepares a network's input. */
export function loadOptions(config: TrainConfig): Preparation & { affine: AffineChoice } {
  return { ...preparation(config), affine: config.affine };
}

/** How this run draws its batches, and in how many threads. */
export function loading(config: TrainConfig): SamplerOptions & Pick<TrainConfig, "workers"> {
  const { patch, batch, seed, offsets, lastBatch, augment, foreground, workers } = config;
  return { patch, batch, seed, offsets, lastBatch, augment, foreground, workers };
}

/** The run as its method sees it; `modalities` are those of the loaded cases. */
export function runOf(config: TrainConfig, modalities: readonly string[]): Run {
  const { optimizer, lr, schedule, weightDecay, momentum, clip, selfTaught } = config;
  const own = Object.keys(methodOf(config.method).settings) as SettingName[];
  return {
    settings: Object.fromEntries(own.map((name) => [name, config[name]])),
    network: networkSpec(config),
    modalities,
    optimizer: { optimizer, lr, schedule, weightDecay, momentum, clip },
    ...(selfTaught && { selfTaught }),
  };
}

/** The least batch that the method of these settings can learn from. */
export function leastBatch(config: TrainConfig): number {
  return methodOf(config.method).leastBatch?.(config) ?? 1;
}

/** Throws a UsageError where a batch has too few samples for the method. */
export function checkBatch(config: TrainConfig): void {
  const [least, title] = [leastBatch(config), titleOf(config.method)];
  if (config.batch >= least) return;
  throw new UsageError(
    `--batch ${config.batch}: ${title} compares the cases of a batch with each other: use --batch ${least} or more`,
  );
}

/** Throws a UsageError where the epochs are too few for the phases of the method. */
export function checkPhases(config: TrainConfig): void {
  const run = runOf(config, networkModalities(config));
  void new Phases(methodOf(config.method).phases?.(run, config.epochs), config.epochs);
}

/** The settings of the training loop. */
export function trainingOptions(config: TrainConfig) {
  const { patch, seed, control, validateEvery, validateFrom, bestBy, maxBadSteps } = config;
  const dropWeights = dropWeightsIn(config.dropWeights ?? null);
  const validations = { validateEvery, validateFrom, bestBy };
  return { patch, seed, dropWeights, control, ...validations, maxBadSteps, ...limits(config) };
}

/** The limits that end a run. */
export function limits({ epochs, patience, maxTime }: TrainConfig): Limits {
  return { epochs, patience, maxSeconds: maxTime === null ? 0 : parseDuration(maxTime) };
}

/** The teacher for a student of this configuration, without the norm that is the method's own default. */
export function teacherOf(config: TrainConfig): TrainConfig {
  const files = { teacher: null, init: null, initEncoder: null };
  const norm = methodOf(config.method).defaults?.["norm"] === config.norm ? DEFAULTS.norm : config.norm;
  const own = { schedule: DEFAULTS.schedule, ...files }; // a teacher's rate always decays
  const unused = { dropWeights: null, selfTaught: false, control: "none", unlabelled: null } as const;
  return { ...config, norm, stage: "teacher", modality: null, method: PLAIN, ...own, ...unused };
}

/**
 * The settings of one machine: places of files, threads, memory, checks. A file that is shared keeps none of
 * them, and none is taken from a file that comes from elsewhere.
 */
const OF_A_MACHINE = [
  ...(["data", "out", "teacher", "init", "initEncoder", "cacheDir"] as const),
  ...(["workers", "cache", "lowMemory", "gpuMemory", "fast"] as const),
] satisfies readonly SettingName[];
type OfAMachine = (typeof OF_A_MACHINE)[number];

/**
 * Settings without those of a machine, for files that are shared and from them; a split file and the folder
 * of scans without labels keep their names, by which a user finds them.
 */
export function portable<Given extends Partial<TrainConfig>>(config: Given): Omit<Given, OfAMachine> {
  const rest: Partial<TrainConfig> = { ...config };
  for (const name of OF_A_MACHINE) delete rest[name];
  const nameOf = (path: string) => path.split(/[\\/]/).findLast((part) => part !== "") ?? "";
  for (const name of ["split", "unlabelled"] as const)
    if (typeof rest[name] === "string") rest[name] = nameOf(rest[name]);
  return rest as Omit<Given, OfAMachine>;
}

/**
 * The names of the settings that differ between two configurations and make them different runs; settings
 * that their method does not use do not. Paths count as different where they are spelt differently.
 */
export function differences(a: TrainConfig, b: TrainConfig): string[] {
  const keys = new Set([...Object.keys(SETTINGS), ...Object.keys(a), ...Object.keys(b)] as SettingName[]);
  if (a.method === b.method && a.method in METHODS)
    for (const key of unusedSettings(a.method)) keys.delete(key as SettingName);
  for (const [key, { counts }] of ROWS) if (counts === false) keys.delete(key);
  return [...keys].filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]));
}

/**
 * Throws a UsageError, with `remedy` at its end, unless the network has enough levels for deep supervision,
 * where that is on.
 */
export function fittingSupervision(
  config: Pick<TrainConfig, "levels" | "deepSupervision">,
  remedy = "",
): void {
  try {
    checkDeepSupervision(config);
  } catch (error) {
    throw new UsageError(`--${(error as Error).message.replace(" ", "-")}${remedy}`);
  }
}

/** Returns the patch; throws a UsageError unless a network of so many levels can take it. */
export function fittingPatch(patch: Vec3, levels: number): Vec3 {
  try {
    checkPatch(patch, levels);
    return patch;
  } catch (error) {
    throw new UsageError(`--${(error as Error).message}`);
  }
}
