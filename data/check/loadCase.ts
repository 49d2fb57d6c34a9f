// Reads, checks and prepares cases for training and prediction: with the same findings as the check of a data
// set, so that neither takes in silence what the check would refuse.

import { type CaseReport, checkCase, type Seen } from "./checkCase.ts";
import type { CaseFiles, Dataset, Modality, Source } from "../datasets/datasets.ts";
import { collectProblems, DataError } from "../errors.ts";
import type { AffineChoice } from "../preparation/grids.ts";
import { type Case, prepareCase, type PrepareOptions, withAbsent } from "../preparation/preprocess.ts";

export interface LoadOptions extends PrepareOptions {
  /** True to read a label; a case without one is then an error. */
  labels: boolean;
  /** The modalities that a case must have; any other may be absent. By default all. */
  required?: readonly Modality[] | undefined;
  /** Whose affine the volumes of a case have; default "file". */
  affine?: AffineChoice;
  /** True to refuse voxel sizes that no head has; default: where a label is read. */
  millimetres?: boolean;
  /** Called once with every file that is read. */
  seen?: Seen;
  /** Called with what the check found, before a problem is thrown. */
  checked?: (report: CaseReport) => void;
}

/**
 * Reads, checks and prepares one case; modalities that are absent are channels of zeros. Throws one DataError
 * with all its problems.
 */
export async function loadCase(
  source: Source,
  dataset: Pick<Dataset, "convention">,
  files: CaseFiles,
  modalities: readonly Modality[],
  { labels, required, affine = "file", millimetres = labels, seen, checked, ...preparation }: LoadOptions,
): Promise<Case> {
  const { convention } = dataset;
  const expected = { modalities, required, labels, affine, millimetres, only: true };
  const { report, images, classes } = await checkCase(source, files, convention, expected, seen);
  checked?.(report);
  if (report.problems.length) throw new DataError(report.problems);
  if (!images.length) throw new Error("loadCase: expected at least one modality, got none");
  return withAbsent(prepareCase({ id: files.id, images, classes, convention }, preparation), modalities);
}

/** Loads `cases` one after another. Throws one DataError with the problems of all of them. */
export async function loadCases(
  source: Source,
  dataset: Pick<Dataset, "convention">,
  cases: readonly CaseFiles[],
  modalities: readonly Modality[],
  options: LoadOptions,
): Promise<Case[]> {
  const problems: string[] = [];
  const loaded: Case[] = [];
  for (const files of cases) {
    const ready = await collectProblems(problems, () =>
      loadCase(source, dataset, files, modalities, options),
    );
    if (ready && !problems.length) loaded.push(ready); // after a problem, the rest is only checked
  }
  if (problems.length) throw new DataError(problems);
  return loaded;
}
