// The folder of a stage: its files, how it is begun and resumed, and how a finished one is recognised.

import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type CaseRecord,
  changedFiles,
  formatManifest,
  parseManifest,
} from "../../data/datasets/manifest.ts";
import type { RunData } from "./cases.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { DEFAULTS, differences, stageName, type TrainConfig } from "../../trainer/settings/config.ts";
import { parseConfig } from "../terminal/configFile.ts";
import { exists, isTemporary, writeAtomically } from "./files.ts";
import { isLock } from "./lock.ts";

/** The files of a stage. */
export const FILES = {
  config: "config.json",
  split: "split.json",
  metrics: "metrics.jsonl",
  csv: "metrics.csv",
  progress: "progress.png",
  progressSvg: "progress.svg",
  tensorboard: "tb",
  latest: "checkpoint_latest.safetensors",
  best: "checkpoint_best.safetensors",
  previous: "checkpoint_previous.safetensors",
  postprocessing: "postprocessing.json",
  summary: "summary.json",
  predictions: "predictions",
  card: "model_card.md",
  manifest: "dataset_manifest.json",
  report: "report.html",
} as const;

/** And those it has only with --fold, or where something went wrong. */
export const SOMETIMES = {
  folds: "splits_final.json",
  badBatches: "bad_batches.jsonl",
  damaged: "checkpoint_damaged.safetensors",
} as const;

/** The files in a stage's folder, without locks and temporary files. */
export async function held(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new UsageError(
      `${folder}: expected a folder that can be read, got ${error.code}: choose another --out`,
    );
  });
  return names.filter((name) => !isLock(name) && !isTemporary(name));
}

/**
 * Tells whether `out` holds this stage, finished: its report comes last. Throws a UsageError where it holds
 * another.
 */
export async function finished(config: TrainConfig): Promise<boolean> {
  const folder = join(config.out, stageName(config));
  const found = await readConfig(folder);
  if (!found) return false;
  const differing = differences(config, found);
  if (differing.length) {
    throw new UsageError(
      `${folder}: holds another run, which differs in ${changes(differing, found, config)}: ` +
        "choose another --out, or replace it with --overwrite",
    );
  }
  return exists(join(folder, FILES.report));
}

/** Settings that differ, with what they were and are: `lr (0.003 → 0.01)`. */
function changes(keys: readonly string[], before: TrainConfig, now: TrainConfig): string {
  const shown = (config: TrainConfig, key: string) =>
    JSON.stringify(config[key as keyof TrainConfig]) ?? "nothing";
  return keys.map((key) => `${key} (${shown(before, key)} → ${shown(now, key)})`).join(", ");
}

/**
 * The configuration in a stage's folder, with defaults for what an older one lacks; null where none can be
 * read.
 */
export async function readConfig(folder: string): Promise<TrainConfig | null> {
  try {
    return parseConfig(await readFile(join(folder, FILES.config), "utf8"), DEFAULTS);
  } catch {
    return null;
  }
}

/**
 * Empties a stage's folder but for locks, and writes the configuration, the split (with --fold all folds, as
 * nnU-Net does) and the manifest of the data's files. The configuration is never missing, wherever this is
 * cut short.
 */
export async function begin(
  folder: string,
  config: TrainConfig,
  data: RunData,
  files: readonly CaseRecord[],
): Promise<void> {
  for (const name of await held(folder)) {
    if (name !== FILES.config) await rm(join(folder, name), { recursive: true, force: true });
  }
  await mkdir(folder, { recursive: true });
  await writeConfig(folder, config);
  await writeAtomically(join(folder, FILES.split), `${JSON.stringify(detail(data), null, 2)}\n`);
  const { folds } = data;
  if (folds) await writeAtomically(join(folder, SOMETIMES.folds), `${JSON.stringify(folds, null, 2)}\n`);
  await writeAtomically(join(folder, FILES.manifest), formatManifest(files));
  await writeFile(join(folder, FILES.metrics), "");
}

/**
 * Prepares a folder for resuming: removes its report, and writes the configuration that it is resumed with.
 * Throws a UsageError where the cases or their files have changed since it began.
 */
export async function resume(
  folder: string,
  config: TrainConfig,
  data: RunData,
  files: readonly CaseRecord[],
): Promise<void> {
  const now: Record<string, unknown> = detail(data);
  const text = await readFile(join(folder, FILES.split), "utf8").catch(() => "null");
  const before = (JSON.parse(text) as Record<string, unknown> | null) ?? {};
  for (const [key, value] of Object.entries(now)) {
    if (JSON.stringify(before[key]) === JSON.stringify(value)) continue;
    throw new UsageError(
      `--resume: ${folder} began with other data: ${key} is ${JSON.stringify(before[key]) ?? "missing"} in ` +
        `${FILES.split}, and now ${JSON.stringify(value)}: ` +
        "restore them, or start again with --overwrite",
    );
  }
  const manifest = await readFile(join(folder, FILES.manifest), "utf8").catch(() => null);
  const changed = manifest === null ? [] : changedFiles(parseManifest(manifest), files);
  if (changed.length) {
    throw new UsageError(
      `--resume: ${folder} began with other files: ${changed.join(", ")} changed since: ` +
        "restore them, or start again with --overwrite",
    );
  }
  for (const name of [FILES.report, FILES.summary]) await rm(join(folder, name), { force: true });
  await writeConfig(folder, config);
}

function writeConfig(folder: string, config: TrainConfig): Promise<void> {
  return writeAtomically(join(folder, FILES.config), `${JSON.stringify(config, null, 2)}\n`);
}

function detail({ split, dataset, modalities }: RunData) {
  return { ...split, layout: dataset.layout, labels: dataset.convention, modalities };
}
