// Writes predicted label maps, each in the grid, affine and label convention of its source.

import { join } from "node:path";
import { fromClasses, type LabelConvention } from "../../data/datasets/labels.ts";
import { writeLabelLike, writeProbabilitiesLike } from "../../data/nifti/nifti.ts";
import { type Case, uncrop, uncropProbabilities } from "../../data/preparation/preprocess.ts";
import { writeAtomically } from "../files/files.ts";
import { labelFile, probabilitiesFile } from "./labelFiles.ts";

/** The mean of several networks' probabilities, each for its own crop, in the source's whole grid. */
export class Mean {
  #sums: Float32Array | null = null;
  #members = 0;

  /** Adds the probabilities [classes,D,H,W] of one network's crop; outside of it, all is background. */
  add(found: Float32Array, classes: number, prepared: Pick<Case, "size" | "source">): void {
    const whole = uncropProbabilities(found, classes, prepared);
    this.#members++;
    if (this.#sums) whole.forEach((value, i) => (this.#sums![i]! += value));
    else this.#sums = whole;
  }

  /** The mean [classes,D,H,W]; call add() first. */
  probabilities(): Float32Array {
    const sums = this.#sums!;
    return this.#members > 1 ? sums.map((sum) => sum / this.#members) : sums;
  }
}

/** Writes FOLDER/<id>.nii.gz and returns the classes in the source's whole grid. */
export async function writePrediction(
  folder: string,
  prepared: Case,
  classes: Uint8Array,
  convention: LabelConvention,
): Promise<Uint8Array> {
  const whole = uncrop(classes, prepared);
  await writeWhole(folder, prepared, whole, convention);
  return whole;
}

/** Writes FOLDER/<id>.nii.gz of classes in the source's whole grid. */
export async function writeWhole(
  folder: string,
  { id, source: { header, size } }: Pick<Case, "id" | "source">,
  classes: Uint8Array,
  convention: LabelConvention,
): Promise<void> {
  const file = await writeLabelLike(header, fromClasses(classes, convention), size);
  await writeAtomically(join(folder, labelFile(id)), file);
}

/** Writes FOLDER/<id>_probabilities.nii.gz of probabilities [classes,D,H,W] in the source's whole grid. */
export async function writeProbabilities(
  folder: string,
  { id, source: { header, size } }: Pick<Case, "id" | "source">,
  found: Float32Array,
): Promise<void> {
  await writeAtomically(
    join(folder, probabilitiesFile(id)),
    await writeProbabilitiesLike(header, found, size),
  );
}
