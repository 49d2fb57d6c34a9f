// Label conventions. The same number means different tissue in different data sets (1 is necrosis in BraTS
// and oedema in the Decathlon), so every convention has a name, labels are checked voxel by voxel, and
// predictions are written in the convention of their source.

import { DataError } from "../errors.ts";

/** A meaning of the numbers in label files. */
export type LabelConvention = "brats" | "brats2023" | "msd";

/** The network class of each value in a label file: BraTS until 2021, BraTS 2023, the Decathlon's Task01. */
export const LABEL_CONVENTIONS: Readonly<Record<LabelConvention, Readonly<Record<number, number>>>> = {
  brats: { 0: 0, 1: 2, 2: 3, 4: 1 },
  brats2023: { 0: 0, 1: 2, 2: 3, 3: 1 },
  msd: { 0: 0, 1: 3, 2: 2, 3: 1 },
};
export const CONVENTION_NAMES = Object.keys(LABEL_CONVENTIONS) as readonly LabelConvention[];

/** The network's classes, by index. */
export const CLASS_NAMES = ["background", "enhancing tumour", "necrotic core", "oedema"] as const;

/** How far a label stored as a float may be from an integer. */
const TOLERANCE = 1e-3;

/**
 * Converts the voxels of the label file `name` to network classes, in the same order. Throws DataError for a
 * value that `convention` does not have; the message lists the values in the file and the conventions that
 * would fit.
 */
export function toClasses(data: Float32Array, convention: LabelConvention, name: string): Uint8Array {
  const table = LABEL_CONVENTIONS[convention];
  const classes = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    const label = Math.round(value);
    const known = Math.abs(value - label) <= TOLERANCE ? table[label] : undefined;
    if (known === undefined) throw unknownLabel(data, convention, name);
    classes[i] = known;
  }
  return classes;
}

/** Converts network classes to the values of `convention`: the inverse of `toClasses`. */
export function fromClasses(classes: Uint8Array, convention: LabelConvention): Uint8Array {
  const values = new Map(
    Object.entries(LABEL_CONVENTIONS[convention]).map(([value, c]) => [c, Number(value)]),
  );
  return classes.map((c) => {
    const value = values.get(c);
    if (value === undefined) throw new Error(`fromClasses: expected classes 0 to 3, got ${c}`);
    return value;
  });
}

/** Returns the conventions that have all of these values. */
export function fittingConventions(values: Iterable<number>): LabelConvention[] {
  const labels = [...values].map((value) =>
    Math.abs(value - Math.round(value)) <= TOLERANCE ? Math.round(value) : NaN,
  );
  return CONVENTION_NAMES.filter((name) => labels.every((label) => label in LABEL_CONVENTIONS[name]));
}

/** Counts the voxels of each value, smallest value first. */
export function labelCounts(data: Float32Array | Uint8Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const value of data) counts.set(value, (counts.get(value) ?? 0) + 1);
  return new Map([...counts].sort(([a], [b]) => a - b));
}

function unknownLabel(data: Float32Array, convention: LabelConvention, name: string): DataError {
  const counts = labelCounts(data);
  const listed = [...counts].slice(0, 8).map(([value, count]) => `${+value.toFixed(4)} (${count} voxels)`);
  if (counts.size > 8) listed.push(`${counts.size - 8} more values`);
  const has = Object.keys(LABEL_CONVENTIONS[convention]).join(", ");
  const fitting = fittingConventions(counts.keys());
  const remedy = fitting.length
    ? `these values fit ${fitting.join(" and ")}: use --labels ${fitting.join(" or --labels ")}`
    : "no convention has all of these values: is it a label map of brain tumours?";
  return new DataError(
    `${name}: expected labels ${has} (${convention}), got ${listed.join(", ")}; ${remedy}`,
  );
}
