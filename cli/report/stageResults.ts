// Reads the results of a finished stage for reports: records, scores, size, settings.

import { basename, join, resolve } from "node:path";
import { type LabelConvention, mergedLabels } from "../../data/datasets/labels.ts";
import { patientNote, patientsBy } from "../../data/datasets/patients.ts";
import type { Split } from "../../data/datasets/splits.ts";
import { classifies } from "../../model/methods/index.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import type { Summary } from "../../model/scoring/summary.ts";
import { stageName, stageTitle, type TrainConfig } from "../../trainer/settings/config.ts";
import { readClassifier, readEncoder, readModel, type StoredModel } from "../files/models.ts";
import { PRESENCE } from "../prediction/presenceFiles.ts";
import type { StagePresence } from "./presenceReport.ts";
import type { ReportStage } from "./reportCurves.ts";
import { FILES } from "../files/stageFolder.ts";
import { readFile } from "../terminal/userFile.ts";

/** A stage's results; without a summary if it had no test cases. */
export async function readStage(config: TrainConfig): Promise<ReportStage> {
  const folder = join(config.out, stageName(config));
  const summary = await readFile(join(folder, FILES.summary), "utf8").catch(() => null);
  const whole = classifies(config.method) ? readClassifier : readModel;
  const read = config.stage === "pretrain" ? readEncoder : whole;
  const presence = await readFile(join(folder, PRESENCE.json), "utf8").catch(() => null);
  const model = await read(join(folder, FILES.best)).catch(() => null);
  const grid = model?.card?.grid;
  return {
    title: stageTitle(config),
    folder: stageName(config),
    metrics: await readRecords(folder),
    ...(summary !== null && { summary: JSON.parse(summary) as Summary }),
    ...(presence !== null && { presence: JSON.parse(presence) as StagePresence }),
    ...(model && { parameters: parametersOf(model) }),
    ...(grid && { grid }),
  };
}

/** A sentence about the patients of a stage's split, by its split.json; null if each case has its own. */
export async function patientsOf(config: TrainConfig): Promise<string | null> {
  const text = await readFile(join(config.out, stageName(config), FILES.split), "utf8").catch(() => null);
  const note = text === null ? null : patientNote(JSON.parse(text) as Split, patientsBy(config.patients));
  return note && `${note}.`;
}

/** The part of split.json that names the labels' convention. */
interface Labels {
  labels: LabelConvention;
}

/** A note for each label of the stages' data that has no class of its own. */
export async function labelNotes(configs: readonly TrainConfig[]): Promise<string[]> {
  const notes = configs.map(async (config) => {
    const path = join(config.out, stageName(config), FILES.split);
    const { labels } = JSON.parse(await readFile(path, "utf8").catch(() => "{}")) as Labels;
    return mergedLabels(labels).map((line) => `In ${labels}, ${line}.`);
  });
  return [...new Set((await Promise.all(notes)).flat())];
}

/** The lines of a stage's metrics.jsonl. */
export async function readRecords(folder: string): Promise<EpochRecord[]> {
  const lines = (await readFile(join(folder, FILES.metrics), "utf8")).split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line) as EpochRecord);
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
