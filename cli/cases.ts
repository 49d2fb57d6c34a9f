// From a folder to the cases of a run: the data set, the split, the modalities to load. All that can be
// wrong with them is said before anything is trained.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import {
  type CaseFiles,
  type Dataset,
  type Modality,
  MODALITIES,
  openDataset,
  type Source,
} from "../data/datasets.ts";
import { DataError } from "../data/errors.ts";
import { splitCases } from "../data/patches.ts";
import type { TrainConfig } from "./config.ts";
import { folderSource } from "./folderSource.ts";

/** Case ids by use. */
export interface Split {
  train: string[];
  val: string[];
  test: string[];
}

const SPLIT_SEED = 12345; // of all stages and seeds, so that they share their test cases; nnU-Net's

export interface RunData {
  source: Source;
  dataset: Dataset;
  split: Split;
  /** Those that the stage needs, and others that every case of the run has. */
  modalities: Modality[];
}

/** Opens the data of a run; throws DataError with all that is wrong with the split. Reads no volume. */
export async function openRunData({
  data,
  labels,
  split: splitFile,
  modality,
}: TrainConfig): Promise<RunData> {
  const source = await folderSource(data);
  const dataset = await openDataset(source, { convention: labels ?? undefined });
  const file = splitFile ?? ((await source.list()).includes("split.json") ? join(data, "split.json") : null);
  const split = file ? await readSplit(file, dataset) : splitCases(ids(dataset), { seed: SPLIT_SEED });
  const used = casesOf(dataset, [...split.train, ...split.val, ...split.test]);
  const needed: readonly Modality[] = modality ? [modality] : MODALITIES;
  const modalities = MODALITIES.filter((m) => needed.includes(m) || used.every(({ images }) => images[m]));
  return { source, dataset, split, modalities };
}

/** The cases of the given ids, in their order. */
export function casesOf(dataset: Dataset, wanted: readonly string[]): CaseFiles[] {
  const byId = new Map(dataset.cases.map((c) => [c.id, c]));
  return wanted.map((id) => byId.get(id) ?? missing(id, dataset));
}

function ids(dataset: Dataset): string[] {
  return dataset.cases.map(({ id }) => id);
}

const SplitSchema = v.object({
  train: v.pipe(v.array(v.string()), v.minLength(1)),
  val: v.optional(v.array(v.string()), []),
  test: v.optional(v.array(v.string()), []),
});

async function readSplit(path: string, dataset: Dataset): Promise<Split> {
  const text = await readFile(path, "utf8").catch(() => {
    throw new DataError(
      `${path}: expected a file with {"train": [...], "val": [...], "test": [...]}, got none`,
    );
  });
  let split: Split;
  try {
    split = v.parse(SplitSchema, JSON.parse(text));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DataError(
      `${path}: expected {"train": [...], "val": [...], "test": [...]} of case ids: ${why}`,
    );
  }
  const all = [...split.train, ...split.val, ...split.test];
  const known = new Set(ids(dataset));
  const problems = [
    ...all.filter((id) => !known.has(id)).map((id) => `${path}: case ${id} is not in the data set`),
    ...all.filter((id, i) => all.indexOf(id) !== i).map((id) => `${path}: case ${id} is listed twice`),
  ];
  if (problems.length) throw new DataError(problems);
  return split;
}

function missing(id: string, dataset: Dataset): never {
  throw new DataError(`case ${id}: is not in the data set of ${dataset.cases.length} cases`);
}
