// The reference labels of a folder: those of the data set, found as training finds them, or a plain folder of
// label maps.

import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { surveyDataset } from "../../data/datasets/datasets.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import { readingsOf } from "../../data/datasets/names.ts";
import { type Source, someOf, type Survey } from "../../data/datasets/source.ts";
import { collectProblems, DataError } from "../../data/errors.ts";
import { folderSource } from "../files/folderSource.ts";
import { caseOf, labelMaps, onlyOne, probabilitiesFile } from "./labelFiles.ts";
import { put } from "../../data/groups.ts";

/** The reference labels of a folder. */
export interface References {
  /** The files, by case. */
  files: Map<string, string>;
  /** True for a data set, which may hold more cases than were predicted. */
  dataSet: boolean;
  /** The label convention that the data set tells; null if it tells none. */
  convention: ToldConvention | null;
  /** The oddities of the data set's files. */
  warnings: readonly string[];
}

/** A label convention and how it is known, in words. */
export interface ToldConvention {
  value: LabelConvention;
  why: string;
  /** True if only the names of images tell it. */
  byNames: boolean;
}

/**
 * Returns the reference labels of a folder: of a data set in any layout, or `<case>.nii.gz` in the folder
 * itself or in its labelsTr and labelsTs. The files `predictions` may be in the folder too. Throws a
 * DataError for a folder without labels, for two labels of one case, and for a dataset.json with faults.
 */
export async function findReferences(folder: string, predictions: Iterable<string>): Promise<References> {
  const source = await folderSource(folder);
  const problems: string[] = [];
  const survey = await collectProblems(problems, () => surveyDataset(without(source, folder, predictions)));
  if (!survey && (await source.list()).includes("dataset.json")) throw new DataError(problems);
  const convention = survey?.convention
    ? { value: survey.convention, why: survey.why.convention, byNames: survey.byNames }
    : null;
  if (survey && isDataSet(survey)) {
    const files = [...onlyOne(folder, survey.labels)].map(([id, path]) => [id, join(folder, path)] as const);
    return { files: new Map(files), dataSet: true, convention, warnings: survey.warnings };
  }
  const parts = await labelFolders(folder);
  const files = new Map<string, string[]>();
  for (const part of parts.length ? parts : [folder])
    for (const [id, file] of await labelMaps(part)) put(files, id, file);
  if (!files.size) throw new DataError(`${folder}: ${lacking(survey)}`);
  return { files: onlyOne(folder, files), dataSet: parts.length > 0, convention, warnings: [] };
}

/** Returns the source without the predictions that are written into the folder beside its cases. */
function without(source: Source, folder: string, predictions: Iterable<string>): Source {
  const written = new Set(
    [...predictions].flatMap((path) => [resolve(path), resolve(probabilitiesOf(path))]),
  );
  const isReference = (path: string) => readingsOf(path).length > 0 || /^labelsT[rs]\//.test(path);
  const isWritten = (path: string) => written.has(resolve(folder, path)) && !isReference(path);
  return { ...source, list: async () => (await source.list()).filter((path) => !isWritten(path)) };
}

function probabilitiesOf(path: string): string {
  return join(dirname(path), probabilitiesFile(caseOf(basename(path))));
}

/** True unless all that a survey found are label maps at the top of the folder, or no labels. */
function isDataSet({ cases, newCases, labels }: Survey): boolean {
  if (!labels.size) return false;
  const images = [...cases, ...newCases].some((one) => Object.keys(one.images).length > 0);
  return images || [...labels.values()].flat().some((path) => path.includes("/"));
}

/** Returns the folders labelsTr and labelsTs in a folder. */
async function labelFolders(folder: string): Promise<string[]> {
  const paths = ["labelsTr", "labelsTs"].map((name) => join(folder, name));
  const there = await Promise.all(paths.map((path) => stat(path).catch(() => null)));
  return paths.filter((_, i) => there[i]?.isDirectory());
}

const LAYOUTS = "<case>.nii.gz, <case>/<case>_seg.nii.gz, or labelsTr/<case>.nii.gz beside dataset.json";

function lacking(survey: Survey | undefined): string {
  const ids = survey ? [...survey.cases, ...survey.newCases].map(({ id }) => id) : [];
  const got = ids.length ? `only images of ${someOf(ids)}` : "none";
  return `expected reference labels (${LAYOUTS}), got ${got}`;
}
