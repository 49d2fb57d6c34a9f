// What is odd about one volume, beyond what reading it refuses: voxels, labels, the grid. Problems are what
// no training should go on with; warnings are what somebody should look at.

import { collectProblems } from "../errors.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import {
  CLASS_NAMES,
  CONVENTION_NAMES,
  fittingConventions,
  LABEL_CONVENTIONS,
  type LabelConvention,
  labelCounts,
  toClasses,
} from "../datasets/labels.ts";
import type { Volume } from "../nifti/nifti.ts";
import { obliqueness, orientationOf } from "../nifti/orientation.ts";

/** What was found, one line each. */
export interface Findings {
  problems: string[];
  warnings: string[];
}

/** The finite voxels of an image; the mean and deviation are over those that are not 0. */
export interface Intensities {
  min: number;
  max: number;
  mean: number;
  deviation: number;
  /** The share of all voxels that is not 0. */
  brain: number;
}

/** Looks at an image's voxels; `what` names it. */
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
    if (finite) problems.push(`${what}: expected an image, got zero in every voxel: leave the file out`);
    else [min, max] = [NaN, NaN];
  } else if (deviation <= 1e-6 * Math.abs(mean)) {
    problems.push(`${what}: expected an image, got the same value, ${short(mean)}, in all voxels but 0`);
  } else if (negative) {
    warnings.push(`${what}: ${negative} voxels are negative; all that is not 0 counts as brain`);
  }
  if (brain > 0.95 * voxels.length && deviation > 0) {
    const remedy = "is the skull stripped, and the background 0?";
    warnings.push(`${what}: ${percent(brain / voxels.length)} of the voxels are not 0: ${remedy}`);
  }
  return { min, max, mean, deviation, brain: brain / voxels.length };
}

/** Adds a problem if voxels are NaN or infinite; returns how many are not. */
export function checkNumbers(voxels: Float32Array, what: string, problems: string[]): number {
  let finite = 0;
  for (const value of voxels) if (Number.isFinite(value)) finite++;
  const bad = voxels.length - finite;
  if (bad)
    problems.push(`${what}: expected numbers, got ${bad} voxels that are NaN or infinite: export it again`);
  return finite;
}

/** The label of a case in numbers. */
export interface LabelReport {
  /** Voxels of each value in the file, smallest value first. */
  values: [value: number, voxels: number][];
  /** Of each of the tumour's classes, where the convention is known and has all values. */
  classes: { name: string; value: number; voxels: number; ml: number }[];
}

/** Looks at a label's values; without a convention they are only counted. */
export async function checkLabel(
  { data, spacing }: Pick<Volume, "data" | "spacing">,
  convention: LabelConvention | null,
  what: string,
  found: Findings,
): Promise<LabelReport> {
  const counts = labelCounts(data);
  const report: LabelReport = { values: [...counts], classes: [] };
  if (counts.has(3) && counts.has(4)) {
    const meaning = "3 is enhancing tumour in BraTS 2023 and the Decathlon, 4 is it in BraTS to 2021";
    const listed = [3, 4].map((value) => `${value} (${counts.get(value)} voxels)`).join(" and ");
    found.problems.push(`${what}: expected one convention, got both ${listed}: ${meaning}`);
    return report;
  }
  if (!convention) {
    if (!fittingConventions(counts.keys()).length)
      found.problems.push(`${what}: expected labels of ${CONVENTION_NAMES.join(", ")}, got ${list(counts)}`);
    return report;
  }
  const classes = await collectProblems(found.problems, () => toClasses(data, convention, what));
  if (!classes) return report;

  const voxelsOf = labelCounts(classes);
  const ml = spacing[0] * spacing[1] * spacing[2] * 1e-3;
  for (const [value, c] of Object.entries(LABEL_CONVENTIONS[convention])) {
    const voxels = voxelsOf.get(c) ?? 0;
    if (c) report.classes.push({ name: CLASS_NAMES[c]!, value: Number(value), voxels, ml: voxels * ml });
  }
  if (report.classes.every(({ voxels }) => !voxels)) found.warnings.push(`${what}: no voxel is labelled`);
  return report;
}

/** Looks at where labelled voxels lie: all `images` [D, H, W] of the case are 0 outside the head. */
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
      `${what}: expected it to lie in the brain, got ${share} where every image is 0: is it flipped?`,
    );
  else warnings.push(`${what}: ${share} lie where every image is 0`);
}

/** Looks at whether a file says in one way only where it lies. */
export function checkForms({ disagreement, spacing }: Volume, what: string, { warnings }: Findings): void {
  if (disagreement <= 0.01 * Math.min(...spacing)) return; // digits that a quaternion loses
  const off = `${short(disagreement)} mm apart at a corner`;
  warnings.push(
    `${what}: its sform and qform are ${off}: the sform is taken here; other programs may take the other`,
  );
}

/** Looks at a case's voxel sizes and axes. */
export function checkGrid(
  { spacing, affine }: Pick<Volume, "spacing" | "affine">,
  { warnings }: Findings,
): void {
  const [least, most] = [Math.min(...spacing), Math.max(...spacing)];
  const said = formatSpacing(spacing);
  if (most > 1.5 * least) warnings.push(`voxels of ${said} mm are anisotropic: nothing here resamples`);
  if (least < 0.3 || most > 6) warnings.push(`voxels of ${said} mm are unusual: is the header right?`);
  const angle = obliqueness(affine);
  if (angle > 20) {
    const axes = orientationOf(affine);
    warnings.push(`its axes are ${angle.toFixed(0)} degrees off the patient's: ${axes} is only the nearest`);
  }
}

/** A spacing [D, H, W] as x × y × z, in mm. */
export function formatSpacing([depth, height, width]: Vec3): string {
  return [width, height, depth].map((mm) => +mm.toFixed(2)).join("x");
}

/** A number in four digits at most. */
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
