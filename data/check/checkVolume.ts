// Checks one volume that could be read: its voxels, labels and grid. Training should not start while there
// are problems; warnings deserve a look.

import { largest, smallest } from "../../engine/values.ts";
import { collectProblems } from "../errors.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import {
  CONVENTION_NAMES,
  fittingConventions,
  LABEL_CONVENTIONS,
  type LabelConvention,
  labelAdvice,
  labelCounts,
  roundLabels,
  tissueOf,
  toClasses,
} from "../datasets/labels.ts";
import type { Volume } from "../nifti/nifti.ts";
import { spacingProblem, unitNote } from "../nifti/units.ts";
import { obliqueness, orientationOf } from "../nifti/orientation.ts";

/** The findings of a check, one line each. */
export interface Findings {
  problems: string[];
  warnings: string[];
}

/** Statistics of an image's finite voxels; mean and deviation are over the nonzero ones. */
export interface Intensities {
  min: number;
  max: number;
  mean: number;
  deviation: number;
  /** The share of nonzero voxels. */
  brain: number;
}

/** Checks an image's voxels and returns their statistics; `what` names the image in messages. */
export function checkIntensities(voxels: Float32Array, what: string, found: Findings): Intensities {
  let [min, max, sum, brain, negative] = [Infinity, -Infinity, 0, 0, 0];
  for (const value of voxels) {
    if (!Number.isFinite(value)) continue;
    if (value < min) min = value;
    if (value > max) max = value;
    if (value === 0) continue;
    sum += value;
    brain++;
    if (value < 0) negative++;
  }
  const mean = brain ? sum / brain : 0;
  let squares = 0;
  for (const value of voxels) if (value !== 0 && Number.isFinite(value)) squares += (value - mean) ** 2;
  const deviation = brain ? Math.sqrt(squares / brain) : 0;

  const { problems, warnings } = found;
  const finite = checkNumbers(voxels, what, problems);
  if (!brain) {
    if (finite) problems.push(`${what}: expected an image, got zero in every voxel: remove the file`);
    else [min, max] = [NaN, NaN];
  } else if (deviation <= 1e-6 * Math.abs(mean)) {
    problems.push(
      `${what}: expected an image, got one value, ${short(mean)}, in all nonzero voxels: remove the file`,
    );
  } else if (negative) {
    warnings.push(`${what}: ${negative} voxels are negative; every nonzero voxel counts as brain`);
  }
  if (brain > 0.95 * voxels.length && deviation > 0) {
    const question = "is the skull stripped, and the background 0?";
    warnings.push(`${what}: ${percent(brain / voxels.length)} of the voxels are not 0: ${question}`);
  }
  return { min, max, mean, deviation, brain: brain / voxels.length };
}

/** Adds a problem if voxels are NaN or infinite. Returns the number of finite voxels. */
export function checkNumbers(voxels: Float32Array, what: string, problems: string[]): number {
  let finite = 0;
  for (const value of voxels) if (Number.isFinite(value)) finite++;
  const bad = voxels.length - finite;
  if (bad)
    problems.push(`${what}: expected finite voxels, got ${bad} that are NaN or infinite: export it again`);
  return finite;
}

/** Counts of a case's label. */
export interface LabelReport {
  /** The number of voxels of each value in the file, smallest value first. */
  values: [value: number, voxels: number][];
  /** Voxels and volume of each tumour class; empty unless the convention is known and has all values. */
  classes: { name: string; value: number; voxels: number; ml: number }[];
}

/**
 * Checks a label's values and returns its network classes; without a convention it only counts them. `names`
 * are the files of its case: they may show the year.
 */
export async function checkLabel(
  { data, spacing, step }: Pick<Volume, "data" | "spacing" | "step">,
  convention: LabelConvention | null,
  { what, names }: { what: string; names: readonly string[] },
  found: Findings,
): Promise<{ report: LabelReport; classes?: Uint8Array }> {
  const counts = labelCounts(roundLabels(data, step));
  const report: LabelReport = { values: [...counts], classes: [] };
  if (!convention) {
    if (!fittingConventions(counts.keys()).length) {
      const expected = `expected labels of ${CONVENTION_NAMES.join(", ")}`;
      found.problems.push(`${what}: ${expected}, got ${list(counts)}: ${labelAdvice(counts.keys(), names)}`);
    }
    return { report };
  }
  const classes = await collectProblems(found.problems, () =>
    toClasses(data, convention, what, { step, names }),
  );
  if (!classes) return { report };

  const ml = spacing[0] * spacing[1] * spacing[2] * 1e-3;
  for (const [value, c] of Object.entries(LABEL_CONVENTIONS[convention])) {
    const [voxels, name] = [counts.get(Number(value)) ?? 0, tissueOf(convention, Number(value))];
    if (c) report.classes.push({ name, value: Number(value), voxels, ml: voxels * ml });
  }
  if (report.classes.every(({ voxels }) => !voxels)) found.warnings.push(`${what}: no voxel is labelled`);
  return { report, classes };
}

/** Checks that labelled voxels lie in the brain: outside it all `images` [D, H, W] of the case are 0. */
export function checkPlace(
  label: Float32Array,
  images: readonly Float32Array[],
  what: string,
  { problems, warnings }: Findings,
): void {
  let [labelled, outside] = [0, 0];
  for (let i = 0; i < label.length; i++) {
    if (!label[i]) continue;
    labelled++;
    if (images.every((image) => !image[i])) outside++;
  }
  if (!outside) return;
  const share = `${outside} of ${labelled} labelled voxels (${percent(outside / labelled)})`;
  if (outside > labelled / 2)
    problems.push(
      `${what}: expected labels inside the brain, got ${share} where every image is 0: is the label flipped?`,
    );
  else warnings.push(`${what}: ${share} lie where every image is 0`);
}

/** Warns if a file's sform and qform disagree. */
export function checkForms({ disagreement, spacing }: Volume, what: string, { warnings }: Findings): void {
  if (disagreement <= 0.01 * smallest(spacing)) return; // the rounding of a quaternion
  const off = `${short(disagreement)} mm at a corner`;
  warnings.push(
    `${what}: its sform and qform differ by ${off}: this program uses the sform; others may use the qform`,
  );
}

/**
 * Adds a problem for voxel sizes that no head has, unless no `millimetres` are needed; warns of unusual ones,
 * other units and oblique axes.
 */
export function checkGrid(
  { spacing, unit, affine }: Pick<Volume, "spacing" | "unit" | "affine">,
  { what, millimetres = true }: { what: string; millimetres?: boolean | undefined },
  { problems, warnings }: Findings,
): void {
  const note = unitNote({ spacing, unit }, what);
  if (note !== null) warnings.push(note);
  const problem = spacingProblem({ spacing, unit }, what);
  if (problem !== null) {
    (millimetres ? problems : warnings).push(problem);
    return;
  }
  const [least, most] = [smallest(spacing), largest(spacing)];
  const size = formatSpacing(spacing);
  if (most > 1.5 * least)
    warnings.push(`voxels of ${size} mm are anisotropic: this program does not resample`);
  if (least < 0.3 || most > 6) warnings.push(`voxels of ${size} mm are unusual: is the header right?`);
  const angle = obliqueness(affine);
  if (angle > 20) {
    const axes = orientationOf(affine);
    warnings.push(`its axes are ${angle.toFixed(0)} degrees off the patient's: ${axes} is only approximate`);
  }
}

/** Formats a spacing [D, H, W] in mm as x × y × z. */
export function formatSpacing([depth, height, width]: Vec3): string {
  return [width, height, depth].map((mm) => +mm.toFixed(2)).join("x");
}

/** Formats a number in about four digits, or "-" if it is not finite. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "-";
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function list(counts: ReadonlyMap<number, number>): string {
  const listed = [...counts].slice(0, 8).map(([value, voxels]) => `${short(value)} (${voxels} voxels)`);
  return listed.join(", ") + (counts.size > 8 ? `, ${counts.size - 8} more values` : "");
}
