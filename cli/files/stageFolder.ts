// The folder of a stage: its files, how it is begun, and its records.

import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type CaseRecord, formatManifest } from "../../data/datasets/manifest.ts";
import { casesOf, idsOf, type RunData } from "./cases.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { DEFAULTS, type TrainConfig } from "../../trainer/settings/config.ts";
import { parseConfig } from "../terminal/configFile.ts";
import { isTemporary, writeAtomically } from "./files.ts";
import { type Inputs, INPUTS_FILE, realPath } from "./inputs.ts";
import { isLock } from "./lock.ts";
import { readFile } from "../terminal/userFile.ts";

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
  subsetScores: "subset_scores.json",
  summary: "summary.json",
  predictions: "predictions",
  card: "model_card.md",
  manifest: "dataset_manifest.json",
  inputs: INPUTS_FILE,
  report: "report.html",
} as const;

/** And those it has only with --fold, or where something went wrong. */
export const SOMETIMES = {
  folds: "splits_final.json",
  badBatches: "bad_batches.jsonl",
  damaged: "checkpoint_damaged.safetensors",
} as const;

/** The file of the network of this role, which a method trains beside the deployed one. */
export function fileBeside(role: string): string {
  return `${role}_last.safetensors`;
}

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
 * nnU-Net does), the manifest of the data's files and the checksums of the networks. The configuration is
 * never missing, wherever this is cut short.
 */
export async function begin(
  folder: string,
  config: TrainConfig,
  data: RunData,
  files: readonly CaseRecord[],
  networks: Inputs["networks"],
): Promise<void> {
  for (const name of await held(folder)) {
    if (name !== FILES.config) await rm(join(folder, name), { recursive: true, force: true });
  }
  await mkdir(folder, { recursive: true });
  await writeConfig(folder, config);
  await writeAtomically(join(folder, FILES.split), `${JSON.stringify(detail(data), null, 2)}\n`);
  const { folds } = data;
  if (folds) await writeAtomically(join(folder, SOMETIMES.folds), `${JSON.stringify(folds, null, 2)}\n`);
  await writeRecords(folder, config, files, networks);
  await writeFile(join(folder, FILES.metrics), "");
}

/** Writes what a run is trained or resumed with: its settings, its inputs, and the manifest of its data. */
export async function writeRecords(
  folder: string,
  config: TrainConfig,
  files: readonly CaseRecord[],
  networks: Inputs["networks"],
): Promise<void> {
  const inputs: Inputs = { data: await realPath(config.data), networks };
  await writeConfig(folder, config);
  await writeAtomically(join(folder, FILES.inputs), `${JSON.stringify(inputs, null, 2)}\n`);
  await writeAtomically(join(folder, FILES.manifest), formatManifest(files));
}

function writeConfig(folder: string, config: TrainConfig): Promise<void> {
  return writeAtomically(join(folder, FILES.config), `${JSON.stringify(config, null, 2)}\n`);
}

/** The content of split.json; `absent` names the contrasts that cases lack, if some do: "CASE t2". */
export function detail({ split, dataset, modalities }: RunData) {
  const absent = casesOf(dataset, idsOf(split)).flatMap(({ id, images }) =>
    modalities.filter((modality) => !images[modality]).map((modality) => `${id} ${modality}`),
  );
  const gaps = absent.length > 0 && { absent };
  return { ...split, layout: dataset.layout, labels: dataset.convention, modalities, ...gaps };
}
