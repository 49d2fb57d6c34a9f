// The folder of a stage: which files it has, what says that it is finished, and how it is begun.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CaseRecord } from "../data/manifest.ts";
import type { RunData } from "./cases.ts";
import { UsageError } from "./command.ts";
import { DEFAULTS, differences, stageName, type TrainConfig } from "./config.ts";
import { parseConfig } from "./configFile.ts";
import { exists, writeAtomically } from "./files.ts";

/** The files of a stage. */
export const FILES = {
  config: "config.json",
  split: "split.json",
  folds: "splits_final.json",
  manifest: "dataset_manifest.json",
  metrics: "metrics.jsonl",
  csv: "metrics.csv",
  progress: "progress.png",
  progressSvg: "progress.svg",
  tensorboard: "tb",
  latest: "checkpoint_latest.safetensors",
  best: "checkpoint_best.safetensors",
  summary: "summary.json",
  predictions: "predictions",
  report: "report.html",
} as const;

/** Whether `out` holds this very stage, finished: its report comes last. Throws where it holds another. */
export async function finished(config: TrainConfig): Promise<boolean> {
  const folder = join(config.out, stageName(config));
  const found = await readConfig(folder);
  if (!found) return false;
  const differing = differences(config, found);
  if (differing.length) {
    throw new UsageError(
      `${folder}: holds another run, which differs in ${differing.join(", ")}: ` +
        "choose another --out, or replace it with --overwrite",
    );
  }
  return exists(join(folder, FILES.report));
}

/**
 * The configuration of a stage's folder; null where it holds none that can be read. What an older one does not
 * say was as by default.
 */
export async function readConfig(folder: string): Promise<TrainConfig | null> {
  try {
    return parseConfig(await readFile(join(folder, FILES.config), "utf8"), DEFAULTS);
  } catch {
    return null;
  }
}

/**
 * Empties a stage's folder and writes down what it will hold: the configuration, the split (all folds, too, as
 * nnU-Net does), and the files it is made of.
 */
export async function begin(
  folder: string,
  config: TrainConfig,
  { split, folds, dataset, modalities }: RunData,
  records: readonly CaseRecord[],
): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeAtomically(join(folder, FILES.config), `${JSON.stringify(config, null, 2)}\n`);
  const detail = { ...split, layout: dataset.layout, labels: dataset.convention, modalities };
  await writeAtomically(join(folder, FILES.split), `${JSON.stringify(detail, null, 2)}\n`);
  if (folds) await writeAtomically(join(folder, FILES.folds), `${JSON.stringify(folds, null, 2)}\n`);
  const lines = records.map((record) => JSON.stringify(record)).join(",\n");
  await writeAtomically(join(folder, FILES.manifest), `{"cases": [\n${lines}\n]}\n`);
  await writeFile(join(folder, FILES.metrics), "");
}
