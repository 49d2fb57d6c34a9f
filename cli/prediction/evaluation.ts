// Scores folders of predicted label maps against their references. All files are read before anything is
// scored: one error lists all problems.

import { stat } from "node:fs/promises";
import * as v from "valibot";
import { join, relative } from "node:path";
import { labelCounts, type LabelConvention, roundLabels, toClasses } from "../../data/datasets/labels.ts";
import { collectProblems, DataError, grouped } from "../../data/errors.ts";
import type { OwnFile } from "../../data/datasets/json.ts";
import { cornerDisplacement, formatAffine, formatSize } from "../../data/nifti/geometry.ts";
import { readNifti, type Volume } from "../../data/nifti/nifti.ts";
import { requirePlausible } from "../../data/nifti/units.ts";
import { type AffineChoice, CLOSE_ENOUGH, headerRemedy } from "../../data/preparation/grids.ts";
import { type Box, takeBox, voxelCount } from "../../data/preparation/crop.ts";
import type { ConventionName } from "../../model/scoring/conventions.ts";
import { type CaseMetrics, caseMetrics } from "../../model/scoring/metrics.ts";
import { isSummary, summarise, type Summary } from "../../model/scoring/summary.ts";
import { writeAtomically } from "../files/files.ts";
import { readOwn } from "../files/ownFiles.ts";
import { FILES } from "../files/stageFolder.ts";
import { readData } from "../files/folderSource.ts";
import { FittingConvention, type Meaning, toldMeaning } from "./labelMeaning.ts";
import { itself, type LabelPair, pairLabels } from "./labelPairs.ts";
import { findPredictions } from "./predictionFiles.ts";
import { findReferences } from "./referenceFiles.ts";

/** Which label maps are compared, and how. */
export interface EvaluateOptions extends ScoreOptions {
  /** A folder of `<case>.nii.gz`. */
  predictions: string;
  /** A data set, or a folder of labels. */
  references: string;
  /** The meaning of the values in both; default: by predictions.json, the data set, or the values. */
  labels?: LabelConvention | undefined;
  /** Skip references that have no prediction, instead of refusing. */
  partial?: boolean | undefined;
}

export interface ScoreOptions {
  /** The scores of empty regions in cases and their mean; the summary also has the means of all others. */
  convention?: ConventionName;
  /** Whose affine a prediction has: its file's, or "image": its reference's, where shapes agree. */
  affine?: AffineChoice;
  /** Called with each line about the input. */
  note?: (line: string, kind?: "warning") => void;
  /** Boxes by case: only voxels inside are scored. Default: all voxels. */
  boxes?: ReadonlyMap<string, Box>;
  /** Seconds that predicting took, by case. */
  seconds?: ReadonlyMap<string, number>;
  /** Called before each case with how many are done. */
  progress?: (done: number, total: number, name: string) => void;
}

/** The label maps to compare. */
export interface Scored {
  pairs: readonly LabelPair[];
  /** The folders of all predictions and of all references. */
  folders: { predictions: string; references: string };
  /** The meaning of the values in all files. */
  labels: LabelConvention;
}

/**
 * Compares every prediction in a folder with its reference, and names the references without a prediction in
 * the summary. Throws a DataError that lists every file without a counterpart, or, if all have one, every
 * file that cannot be read or compared, and every prediction that is its reference or a copy of it. Throws a
 * UsageError if sources contradict each other on the label convention, or no source tells it.
 */
export async function evaluateFolders(options: EvaluateOptions): Promise<Summary> {
  const { partial = false, labels: given, note, progress } = options;
  const predictions = await findPredictions(options.predictions);
  const references = await findReferences(options.references, predictions.files.values());
  const { pairs, coverage } = await pairLabels(predictions, references, { partial });
  const told = toldMeaning({ given, predictions: predictions.labels, references: references.convention });
  grouped(references.warnings).forEach((line) => note?.(line, "warning"));
  // A copy that predict did not write; a map of background alone may well equal another.
  await refuseCopies(pairs.filter((pair) => !predictions.labels.has(pair.case)));
  const { labels, why, warning } = told ?? (await meaningByValues(pairs, progress));
  if (warning !== null) note?.(warning, "warning");
  note?.(`labels read as ${labels}: ${why}`);
  const folders = { predictions: options.predictions, references: options.references };
  return { ...(await scorePairs({ pairs, folders, labels }, options)), coverage };
}

const SUMMARY: OwnFile<Summary> = {
  content: "the scores of a stage",
  remedy: "remove it and the report.html beside it, and train with --resume: the test cases are scored again",
  schema: v.custom<Summary>(isSummary),
};

/** Compares predictions with their references. Throws one DataError with the problems of all files. */
export async function scorePairs(
  { pairs, folders, labels }: Scored,
  { convention, affine = "file", note = () => {}, boxes, seconds, progress }: ScoreOptions = {},
): Promise<Summary> {
  const problems: string[] = [];
  const cases: CaseMetrics[] = [];
  for (const [done, pair] of pairs.entries()) {
    progress?.(done, pairs.length, pair.case);
    const measured = await collectProblems(problems, () =>
      evaluatePair(pair, labels, { affine, note, box: boxes?.get(pair.case) }),
    );
    if (!measured) continue;
    const took = seconds?.get(pair.case);
    cases.push({
      ...measured,
      predictionFile: fromFolder(folders.predictions, pair.prediction),
      referenceFile: fromFolder(folders.references, pair.reference),
      ...(took !== undefined && { seconds: took }),
    });
  }
  if (problems.length > 0) throw new DataError(problems);
  return summarise(cases, convention);
}

/** Writes a summary; it names files by their paths inside the folders. */
export async function writeSummary(path: string, summary: Summary): Promise<void> {
  await writeAtomically(path, `${JSON.stringify(summary, null, 2)}\n`);
}

/** The scores in a stage's folder; null where it has none. Throws a DataError for a damaged file. */
export function readSummary(folder: string): Promise<Summary | null> {
  return readOwn(join(folder, FILES.summary), SUMMARY);
}

/** Throws a DataError for predictions with the very bytes of their references, but for empty maps. */
async function refuseCopies(pairs: readonly LabelPair[]): Promise<void> {
  const problems: string[] = [];
  for (const { prediction, reference } of pairs) {
    const [one, other] = await Promise.all(
      [prediction, reference].map((path) => stat(path).catch(() => null)),
    );
    if (!one || one.size !== other?.size) continue;
    await collectProblems([], async () => {
      const bytes = await readData(prediction, prediction);
      if (Buffer.compare(bytes, await readData(reference, reference))) return;
      if ((await readNifti(bytes, prediction)).data.some((value) => value !== 0))
        problems.push(itself(prediction, reference));
    });
  }
  if (problems.length) throw new DataError(problems);
}

/** Returns the only label convention that has all values of all files. */
async function meaningByValues(
  pairs: readonly LabelPair[],
  progress: EvaluateOptions["progress"],
): Promise<Meaning> {
  const problems: string[] = [];
  const fitting = new FittingConvention();
  for (const [done, pair] of pairs.entries()) {
    progress?.(done, pairs.length, `${pair.case}, label values`);
    for (const path of [pair.prediction, pair.reference])
      await collectProblems(problems, async () => {
        const { data, step } = await readMap(path);
        fitting.add(path, labelCounts(roundLabels(data, step)).keys());
      });
  }
  if (problems.length) throw new DataError(problems);
  return fitting.only();
}

/** Scores one prediction. Throws a DataError if a file cannot be read or the grids differ. */
export async function evaluatePair(
  pair: LabelPair,
  labels: LabelConvention,
  { affine, note, box }: { affine: AffineChoice; note: (line: string) => void; box?: Box | undefined },
): Promise<CaseMetrics> {
  const problems: string[] = [];
  const prediction = await collectProblems(problems, () => readLabel(pair.prediction, labels));
  const reference = await collectProblems(problems, () => readLabel(pair.reference, labels));
  if (prediction === undefined || reference === undefined) throw new DataError(problems);
  const taken = checkGrid(pair, prediction, reference, affine);
  if (taken !== null) note(taken);
  requirePlausible(reference, pair.reference);
  const [found, truth] = box ? [within(prediction, box), within(reference, box)] : [prediction, reference];
  return caseMetrics(pair.case, found.classes, truth.classes, { size: truth.size, spacing: truth.spacing });
}

/** A file's path inside the folder, with slashes: a summary does not reveal where the folder is. */
function fromFolder(folder: string, path: string): string {
  return relative(folder, path).replaceAll("\\", "/");
}

/** Reads a label map; keeps the classes but not the file's floats, which take 70 MiB at full size. */
async function readLabel(path: string, labels: LabelConvention): Promise<Label> {
  const { data, size, spacing, unit, affine, step } = await readMap(path);
  return { size, spacing, unit, affine, classes: toClasses(data, labels, path, { step }) };
}

async function readMap(path: string): Promise<Volume> {
  const volume = await readNifti(await readData(path, path), path);
  if (volume.channels === 1) return volume;
  throw new DataError(`${path}: expected a label map of one volume, got ${volume.channels}`);
}

type Label = Pick<Volume, "size" | "spacing" | "unit" | "affine"> & { classes: Uint8Array };

function within({ classes, size, ...rest }: Label, box: Box): Label {
  const inside = new Uint8Array(voxelCount(box.size));
  takeBox(classes, inside, size, box);
  return { ...rest, size: box.size, classes: inside };
}

/** Throws a DataError if two grids differ. Returns a line if the prediction takes the reference's affine. */
function checkGrid(
  { prediction: file, reference: other }: LabelPair,
  prediction: Label,
  reference: Label,
  affine: AffineChoice,
): string | null {
  const { size } = reference;
  if (prediction.size.some((length, axis) => length !== size[axis])) {
    const [expected, got] = [size, prediction.size].map(formatSize);
    throw new DataError(`${file}: expected the shape ${expected} of ${other}, got ${got}`);
  }
  const off = cornerDisplacement(reference.affine, prediction.affine, size);
  if (off <= CLOSE_ENOUGH) return null;
  const moves = `which puts voxels ${off.toFixed(2)} mm away`;
  if (affine === "image") return `${file}: takes the affine of ${other} in place of its own, ${moves}`;
  const [expected, got] = [reference.affine, prediction.affine].map(formatAffine);
  throw new DataError(
    `${file}: expected the affine ${expected} of ${other}, got ${got}, ${moves}: ${headerRemedy(other)}; ` +
      "if not, write predictions in the grid of their source",
  );
}
