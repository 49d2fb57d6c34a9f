// From a folder to the cases of a run: the data set, the split, the modalities to load. All problems with
// them are reported before training begins.

import { join } from "node:path";
import {
  type CaseFiles,
  type Dataset,
  type Modality,
  MODALITIES,
  openDataset,
  type Source,
} from "../../data/datasets/datasets.ts";
import { contrastsOf } from "../../data/datasets/gaps.ts";
import { DataError, grouped } from "../../data/errors.ts";
import { APART, checkPatients, type PatientOf, patientsBy } from "../../data/datasets/patients.ts";
import type { ListedSplit } from "../../data/datasets/splitLists.ts";
import {
  crossValidation,
  type Fold,
  type Split,
  SPLIT_FILE,
  SPLIT_SEED,
  splitCases,
  splitOfFold,
} from "../../data/datasets/splits.ts";
import { networkModalities, type TrainConfig } from "../../trainer/settings/config.ts";
import { warn } from "../terminal/console.ts";
import { folderSource } from "./folderSource.ts";
import { readSplitFiles } from "./splitFiles.ts";
import { readFile } from "../terminal/userFile.ts";

export interface RunData {
  source: Source;
  dataset: Dataset;
  split: Split;
  /** All folds of a cross-validation; `split` is one of them. Null for a single split. */
  folds: readonly Fold[] | null;
  /** The lists that the split comes from, for the user; empty for JSON, and for a split that is drawn. */
  about: string;
  /** The modalities that the stage needs, and others that at least one case to train on has. */
  modalities: Modality[];
}

/** The settings that choose a run's cases. */
export type DataSettings = Pick<
  TrainConfig,
  "data" | "labels" | "split" | "splitMissing" | "fold" | "modality" | "teacherModality" | "patients"
>;

/**
 * Opens the data of a run; throws a DataError with all problems of the split. Reads no volume. A run that an
 * older version began in the folder `begun` keeps its split, which was drawn without regard to patients.
 * Calls `tell` with each warning.
 */
export async function openRunData(
  config: DataSettings,
  begun: string | null = null,
  tell: (line: string) => void = warn,
): Promise<RunData> {
  const { data, labels, split: given, splitMissing, fold, patients } = config;
  const source = await folderSource(data);
  const {
    warnings,
    newCases: _,
    ...dataset
  } = await openDataset(source, { convention: labels ?? undefined });
  grouped(warnings).forEach(tell);
  const listed = await source.list();
  const usual = [SPLIT_FILE, ...(fold === null ? [] : ["splits_final.json"])].filter((f) =>
    listed.includes(f),
  );
  const file = given ?? (usual.length ? join(data, usual.at(-1)!) : null);
  const known = ids(dataset);
  checkPatients(known, patients);
  const inside = given === null ? source : undefined;
  const found = file === null ? null : await readSplitFiles(file, known, splitMissing, inside);
  const choose = (way: string) => chooseSplit(file, fold, { found, known, patientOf: patientsBy(way) });
  const { split, folds } = (await begunWith(begun, () => choose(APART))) ?? choose(patients);
  const there = contrastsOf(casesOf(dataset, split.train));
  const needed = networkModalities(config);
  const modalities = MODALITIES.filter((one) => needed.includes(one) || there.includes(one));
  return { source, dataset, split, folds, about: found?.about ?? "", modalities };
}

/** Every case of a split once: those to train on first, then those to validate on, then the rest. */
export function idsOf({ train, val, test }: Split): string[] {
  return [...new Set([...train, ...val, ...test])];
}

/** The cases of the given ids, in their order. */
export function casesOf(dataset: Dataset, wanted: readonly string[]): CaseFiles[] {
  return wanted.map(filesById(dataset));
}

/** Returns a function that finds a case by its id, and throws a DataError where the data set lacks it. */
export function filesById(dataset: Dataset): (id: string) => CaseFiles {
  const byId = new Map(dataset.cases.map((c) => [c.id, c]));
  return (id) => byId.get(id) ?? missing(id, dataset);
}

function ids(dataset: Dataset): string[] {
  return dataset.cases.map(({ id }) => id);
}

type Chosen = Pick<RunData, "split" | "folds">;

/** The split that `choose` returns, if the run in the folder has the same; else null. */
async function begunWith(folder: string | null, choose: () => Chosen): Promise<Chosen | null> {
  const text = folder && (await readFile(join(folder, "split.json"), "utf8").catch(() => null));
  if (!text) return null;
  const { train, val, test } = JSON.parse(text) as Partial<Split>;
  const chosen = choose();
  const { split } = chosen;
  const same = JSON.stringify([train, val, test]) === JSON.stringify([split.train, split.val, split.test]);
  return same ? chosen : null;
}

/** The split that a file (or the default) and --fold choose, among the known cases. */
function chooseSplit(
  file: string | null,
  fold: TrainConfig["fold"],
  { found, known, patientOf }: { found: ListedSplit | null; known: readonly string[]; patientOf: PatientOf },
): Chosen {
  const splits = found?.splits ?? null;
  if (fold === null) {
    if (!Array.isArray(splits))
      return { split: splits ?? splitCases(known, { seed: SPLIT_SEED, patientOf }), folds: null };
    throw new DataError(
      `${file}: holds ${splits.length} folds: choose one with --fold 0 to ${splits.length - 1}, or all`,
    );
  }
  if (Array.isArray(splits)) return { split: splitOfFold(splits, fold), folds: splits };
  const folds = crossValidation(splits ? [...splits.train, ...splits.val] : known, { patientOf });
  return { split: splitOfFold(folds, fold, splits?.test), folds };
}

function missing(id: string, dataset: Dataset): never {
  throw new DataError(`case ${id}: not in the data set of ${dataset.cases.length} cases`);
}
