// Reads the results of a finished stage for reports: records, scores, size, settings.

import { basename, join, resolve } from "node:path";
import { mergedLabels } from "../../data/datasets/labels.ts";
import { patientNote, patientsBy } from "../../data/datasets/patients.ts";
import { classifies } from "../../model/methods/index.ts";
import { stageName, stageTitle, type TrainConfig } from "../../trainer/settings/config.ts";
import { readClassifier, readEncoder, readModel, type StoredModel } from "../files/models.ts";
import { ifSound, readRecords } from "../files/ownFiles.ts";
import { readSplit } from "../files/storedSplit.ts";
import { readSummary } from "../prediction/evaluation.ts";
import { readPresence } from "../prediction/presenceFiles.ts";
import { readTranslations } from "../prediction/translationFiles.ts";
import type { ReportStage } from "./reportCurves.ts";
import { FILES } from "../files/stageFolder.ts";

/** Throws a DataError for a damaged file among the results of a finished stage, on which others build. */
export async function checkResults(folder: string): Promise<void> {
  await readSplit(folder);
  await readSummary(folder);
  await readPresence(folder);
  await readTranslations(folder);
}

/**
 * A stage's results; without a summary if it had no test cases. A damaged file is skipped, with a warning:
 * reports show other stages beside their own.
 */
export async function readStage(config: TrainConfig): Promise<ReportStage> {
  const folder = join(config.out, stageName(config));
  const summary = await ifSound(() => readSummary(folder));
  const whole = classifies(config.method) ? readClassifier : readModel;
  const read = config.stage === "pretrain" ? readEncoder : whole;
  const presence = await ifSound(() => readPresence(folder));
  const model = await read(join(folder, FILES.best)).catch(() => null);
  const grid = model?.card?.grid;
  return {
    title: stageTitle(config),
    folder: stageName(config),
    metrics: await readRecords(folder),
    ...(summary && { summary }),
    ...(presence && { presence }),
    ...(model && { parameters: parametersOf(model) }),
    ...(grid && { grid }),
  };
}

/** A sentence about the patients of a stage's split, by its split.json; null if each case has its own. */
export async function patientsOf(config: TrainConfig): Promise<string | null> {
  const split = await ifSound(() => readSplit(join(config.out, stageName(config))));
  const note = split && patientNote(split, patientsBy(config.patients));
  return note && `${note}.`;
}

/** A note for each label of the stages' data that has no class of its own. */
export async function labelNotes(configs: readonly TrainConfig[]): Promise<string[]> {
  const notes = configs.map(async (config) => {
    const split = await ifSound(() => readSplit(join(config.out, stageName(config))));
    const labels = split?.labels;
    return labels === undefined ? [] : mergedLabels(labels).map((line) => `In ${labels}, ${line}.`);
  });
  return [...new Set((await Promise.all(notes)).flat())];
}

/** The number of trained parameters of a network, without running statistics. */
function parametersOf({ values }: StoredModel): number {
  const trained = Object.entries(values).filter(
    ([name]) => !/\.(running_\w+|num_batches_tracked)$/.test(name),
  );
  return trained.reduce((sum, [, { data }]) => sum + data.length, 0);
}

/** The settings that all stages share; paths are cut to their last name, for readers elsewhere. */
export function sharedSettings(configs: readonly TrainConfig[]): Record<string, unknown> {
  const [first, ...others] = configs;
  const shared = Object.entries(first ?? {}).filter(([key, value]) =>
    others.every((other) => JSON.stringify(other[key as keyof TrainConfig]) === JSON.stringify(value)),
  );
  return Object.fromEntries(
    shared
      .filter(([key]) => key !== "out")
      .map(([key, value]) => [
        key,
        PATHS.has(key) && typeof value === "string" ? basename(resolve(value)) : readable(value),
      ]),
  );
}

const PATHS = new Set(["data", "split", "teacher", "init", "initEncoder"]);

/** Sizes in one line: [96, 128, 128] as 96,128,128. */
function readable(value: unknown): unknown {
  return Array.isArray(value) ? value.join(",") : value;
}
