// Scores folders of predicted label maps against their references. All files are read before anything is
// scored: one error lists all problems.

import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { type LabelConvention, toClasses } from "../../data/datasets/labels.ts";
import { collectProblems, DataError } from "../../data/errors.ts";
import { cornerDisplacement, formatAffine, formatSize } from "../../data/nifti/geometry.ts";
import { readNifti, type Volume } from "../../data/nifti/nifti.ts";
import { requirePlausible } from "../../data/nifti/units.ts";
import { type AffineChoice, headerRemedy } from "../../data/preparation/grids.ts";
import { type Box, takeBox, voxelCount } from "../../data/preparation/crop.ts";
import type { ConventionName } from "../../model/scoring/conventions.ts";
import { type CaseMetrics, caseMetrics } from "../../model/scoring/metrics.ts";
import { summarise, type Summary } from "../../model/scoring/summary.ts";
import { writeAtomically } from "../files/files.ts";
import { findPredictions, findReferences, type LabelPair, pairLabels } from "./labelFiles.ts";

const tolerance = 0.01; // mm that a corner of the volume may be off: qforms lose digits of the affine

export interface EvaluateOptions {
  /** A folder of `<case>.nii.gz`. */
  predictions: string;
  /** A folder of labels, BraTS cases, or an nnU-Net or MSD data set. */
  references: string;
  /** The meaning of the values in both; default "brats". */
  labels?: LabelConvention;
  /** Skip references that have no prediction, instead of refusing. */
  partial?: boolean;
  /** The scores of empty regions in cases and their mean; the summary also has the means of all others. */
  convention?: ConventionName;
  /** Whose affine a prediction has: its file's, or "image": its reference's, where shapes agree. */
  affine?: AffineChoice;
  /** Called with a line on each prediction that takes its reference's affine. */
  note?: (line: string) => void;
  /** Boxes by case: only voxels inside are scored. Default: all voxels. */
  boxes?: ReadonlyMap<string, Box>;
  /** Seconds that predicting took, by case. */
  seconds?: ReadonlyMap<string, number>;
  /** Where to write the summary; it names files by their paths inside the folders. Default: nowhere. */
  output?: string;
  /** Called before each case with how many are done. */
  progress?: (done: number, total: number, name: string) => void;
}

/**
 * Compares every prediction with its reference. Throws a DataError that lists every file without a
 * counterpart, or, if all have one, every file that cannot be read or compared.
 */
export async function evaluateFolders(options: EvaluateOptions): Promise<Summary> {
  const {
    predictions,
    references,
    labels = "brats",
    partial = false,
    convention,
    affine = "file",
    note = () => {},
    boxes,
    seconds,
    output,
    progress,
  } = options;
  const pairs = pairLabels(await findPredictions(predictions), await findReferences(references), { partial });
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
      predictionFile: fromFolder(predictions, pair.prediction),
      referenceFile: fromFolder(references, pair.reference),
      ...(took !== undefined && { seconds: took }),
    });
  }
  if (problems.length > 0) throw new DataError(problems);
  const summary = summarise(cases, convention);
  if (output !== undefined) await writeAtomically(output, `${JSON.stringify(summary, null, 2)}\n`);
  return summary;
}

async function evaluatePair(
  pair: LabelPair,
  labels: LabelConvention,
  { affine, note, box }: { affine: AffineChoice; note: (line: string) => void; box: Box | undefined },
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
  const { data, size, spacing, unit, affine, channels, step } = await readNifti(await readFile(path), path);
  if (channels !== 1) throw new DataError(`${path}: expected a label map of one volume, got ${channels}`);
  return { size, spacing, unit, affine, classes: toClasses(data, labels, path, { step }) };
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
  if (off <= tolerance) return null;
  const moves = `which puts voxels ${off.toFixed(2)} mm away`;
  if (affine === "image") return `${file}: takes the affine of ${other} in place of its own, ${moves}`;
  const [expected, got] = [reference.affine, prediction.affine].map(formatAffine);
  throw new DataError(
    `${file}: expected the affine ${expected} of ${other}, got ${got}, ${moves}: ${headerRemedy(other)}; ` +
      "if not, write predictions in the grid of their source",
  );
}
