// The predictions in a folder: those that its predictions.json records, or without it all label maps.

import { join } from "node:path";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import { normal } from "../../data/datasets/names.ts";
import { DataError } from "../../data/errors.ts";
import { caseOf, labelFile, labelMaps, volumesIn } from "./labelFiles.ts";
import { readRecord, RECORD } from "./predictionRecord.ts";

/** The predictions in a folder. */
export interface Predictions {
  /** The files, by case. */
  files: Map<string, string>;
  /** The reason why a case has no prediction, where predictions.json tells it. */
  absent: Map<string, string>;
  /** The label convention of each case by predictions.json. */
  labels: Map<string, LabelConvention>;
}

/**
 * Returns the predictions `<case>.nii.gz` in a folder. Throws a DataError if it holds none, if
 * predictions.json cannot be read, or, without it, if a case has two files.
 */
export async function findPredictions(folder: string): Promise<Predictions> {
  const record = await readRecord(folder);
  const found = record
    ? recorded(folder, record, await volumesIn(folder))
    : { files: await labelMaps(folder), absent: new Map(), labels: new Map() };
  if (found.files.size > 0) return found;
  const by = record ? `that ${RECORD} records as finished` : "named <case>.nii.gz";
  throw new DataError(`${folder}: expected predictions ${by}, got none`);
}

function recorded(
  folder: string,
  { cases, skipped }: NonNullable<Awaited<ReturnType<typeof readRecord>>>,
  volumes: readonly string[],
): Predictions {
  const there = new Map(volumes.map((name) => [normal(name), name]));
  const found: Predictions = { files: new Map(), absent: new Map(), labels: new Map() };
  for (const id of skipped) found.absent.set(id, `skipped by predict: ${RECORD}`);
  for (const { case: id, seconds, labels } of cases) {
    const file = there.get(normal(labelFile(id)));
    // A file of an unfinished case is from another prediction, which is being replaced.
    if (seconds === null) found.absent.set(id, `predict was stopped before: ${RECORD}`);
    else if (file === undefined) found.absent.set(id, `the file is missing: ${RECORD} lists it`);
    else {
      there.delete(normal(file));
      found.files.set(id, join(folder, file));
      found.labels.set(id, labels);
    }
  }
  for (const name of there.values()) {
    const id = caseOf(name);
    if (!found.files.has(id) && !found.absent.has(id))
      found.absent.set(id, `${RECORD} does not list the file`);
  }
  return found;
}
