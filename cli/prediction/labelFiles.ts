// Finds the label files of cases: predictions `<case>.nii.gz` in one folder, references in any layout of data
// sets. Prediction and reference are paired by the case's name alone.

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../../data/errors.ts";

/** Prediction and reference of one case. */
export interface LabelPair {
  case: string;
  prediction: string;
  reference: string;
}

/** Label files by case; a `dataSet` has folders of its own and may hold more cases than were predicted. */
export interface LabelFiles {
  files: Map<string, string>;
  dataSet: boolean;
}

/** The name of a case's prediction. */
export function labelFile(id: string): string {
  return `${id}.nii.gz`;
}

/** The name of a case's probabilities. */
export function probabilitiesFile(id: string): string {
  return `${id}_probabilities.nii.gz`;
}

/** The files `<case>.nii[.gz]` of a folder, without the probabilities beside them. */
export async function findPredictions(folder: string): Promise<Map<string, string>> {
  const { files } = flat(folder, await list(folder, "predictions"));
  if (files.size > 0) return files;
  throw new DataError(`${folder}: expected predictions named <case>.nii.gz, got none`);
}

/**
 * The reference labels of a folder: `<case>.nii.gz` or `<case>_seg.nii.gz` (also `-seg`) in it or in its
 * folder labelsTr, or in BraTS' folders `<case>/<case>_seg.nii.gz`.
 */
export async function findReferences(folder: string): Promise<LabelFiles> {
  const entries = await list(folder, "references");
  const labelFolders = entries.folders.filter((name) => name === "labelsTr" || name === "labelsTs");
  const files = new Map<string, string>();
  for (const name of labelFolders) {
    const path = join(folder, name);
    for (const [id, file] of flat(path, await list(path, "references")).files) files.set(id, file);
  }
  if (labelFolders.length === 0 && entries.files.some((name) => extension.test(name)))
    return flat(folder, entries);
  if (labelFolders.length === 0) {
    for (const name of entries.folders) {
      const inside = await list(join(folder, name), "references");
      const label = inside.files.find(
        (file) => file.startsWith(name) && ending.test(file.slice(name.length)),
      );
      if (label !== undefined) files.set(name, join(folder, name, label));
    }
  }
  if (files.size > 0) return { files, dataSet: true };
  const layouts = "<case>.nii.gz, <case>/<case>_seg.nii.gz or labelsTr/<case>.nii.gz";
  throw new DataError(`${folder}: expected reference labels (${layouts}), got none`);
}

/**
 * Every prediction with its reference. Throws one DataError that lists all files without a counterpart.
 * References without a prediction are fine in a data set, and in a plain folder if `partial`.
 */
export function pairLabels(
  predictions: Map<string, string>,
  references: LabelFiles,
  { partial = false } = {},
): LabelPair[] {
  const problems: string[] = [];
  const pairs: LabelPair[] = [];
  for (const [id, prediction] of [...predictions].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const reference = references.files.get(id);
    if (reference === undefined) problems.push(`${prediction}: no reference of case ${id}`);
    else pairs.push({ case: id, prediction, reference });
  }
  if (!references.dataSet && !partial) {
    for (const [id, reference] of references.files) {
      if (predictions.has(id)) continue;
      problems.push(`${reference}: no prediction of case ${id} (--partial evaluates without it)`);
    }
  }
  if (problems.length > 0) throw new DataError(problems);
  return pairs;
}

const extension = /\.nii(\.gz)?$/;
const ending = /^[_-]seg\.nii(\.gz)?$/;

/** Label files in one folder. If some are marked `_seg`, the others are images and do not count. */
function flat(folder: string, { files }: { files: string[] }): LabelFiles {
  const volumes = files.filter((name) => extension.test(name) && !name.endsWith(probabilitiesFile("")));
  const marked = volumes.filter((name) => /[_-]seg\.nii(\.gz)?$/.test(name));
  const found = new Map<string, string>();
  for (const name of marked.length > 0 ? marked : volumes) {
    const id = name.replace(extension, "").replace(/[_-]seg$/, "");
    const other = found.get(id);
    if (other !== undefined)
      throw new DataError(`${folder}: expected one file of case ${id}, got ${other} and ${name}`);
    found.set(id, join(folder, name));
  }
  return { files: found, dataSet: false };
}

async function list(folder: string, what: string): Promise<{ files: string[]; folders: string[] }> {
  const files: string[] = [];
  const folders: string[] = [];
  try {
    for (const name of (await readdir(folder)).sort()) {
      if (name.startsWith(".")) continue;
      const entry = await stat(join(folder, name)); // follows links, which data sets often use
      (entry.isDirectory() ? folders : files).push(name);
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DataError(`${what}: expected a folder that can be read, got ${folder} (${reason})`);
  }
  return { files, folders };
}
