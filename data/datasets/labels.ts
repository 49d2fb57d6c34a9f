// Label conventions. The same number means different tissue in different data sets (1 is necrosis in BraTS
// and oedema in the Decathlon), so every convention has a name, labels are checked voxel by voxel, and
// predictions are written in the convention of their source.

import { DataError } from "../errors.ts";

/** A meaning of the numbers in label files. */
export type LabelConvention = "brats" | "brats2023" | "brats2024-gli" | "brats2024-ped" | "msd";

/**
 * The network class of each value in a label file: BraTS until 2021, BraTS 2023, BraTS 2024's glioma after
 * treatment (arXiv 2405.18368) and paediatric tumours (arXiv 2404.15009), the Decathlon's Task01. 2024's
 * further tissues have no class of their own. They count as in that challenge's regions
 * (github.com/rachitsaluja/BraTS-2024-Metrics): the resection cavity (GLI 4) belongs to neither TC nor WT,
 * so it is background; the cystic component (PED 3) belongs to TC without ET, so it is core.
 */
export const LABEL_CONVENTIONS: Readonly<Record<LabelConvention, Readonly<Record<number, number>>>> = {
  brats: { 0: 0, 1: 2, 2: 3, 4: 1 },
  brats2023: { 0: 0, 1: 2, 2: 3, 3: 1 },
  "brats2024-gli": { 0: 0, 1: 2, 2: 3, 3: 1, 4: 0 },
  "brats2024-ped": { 0: 0, 1: 1, 2: 2, 3: 2, 4: 3 },
  msd: { 0: 0, 1: 3, 2: 2, 3: 1 },
};
export const CONVENTION_NAMES = Object.keys(LABEL_CONVENTIONS) as readonly LabelConvention[];

/** The network's classes, by index. */
export const CLASS_NAMES = ["background", "enhancing tumour", "necrotic core", "oedema"] as const;

/** The tissue of values that are named otherwise than their class. */
const TISSUES: Partial<Record<LabelConvention, Readonly<Record<number, string>>>> = {
  "brats2024-gli": { 4: "resection cavity" },
  "brats2024-ped": { 2: "non-enhancing tumour", 3: "cystic component" },
};

/** Returns the tissue that `value` means in `convention`. */
export function tissueOf(convention: LabelConvention, value: number): string {
  return TISSUES[convention]?.[value] ?? CLASS_NAMES[LABEL_CONVENTIONS[convention][value]!]!;
}

/** Returns a line for each value without a class of its own: `label 3 (cystic component) counts as ...`. */
export function mergedLabels(convention: LabelConvention): string[] {
  return Object.entries(TISSUES[convention] ?? {}).map(([value, tissue]) => {
    const c = LABEL_CONVENTIONS[convention][Number(value)]!;
    return `label ${value} (${tissue}) counts as ${CLASS_NAMES[c]}`;
  });
}

/** How far a label stored as a float may be from an integer. */
const TOLERANCE = 1e-3;
/** The most that any label may be off; a label halfway between two would mean either. */
const LARGEST_TOLERANCE = 0.25;

/** The facts about a label file that decide how its values are read. */
export interface LabelFile {
  /** The distance of neighbouring stored values (see Volume.step); default 0, for floats. */
  step?: number;
  /** Names of files of its case or data set, which may show the year; default: its own. */
  names?: readonly string[];
}

/**
 * Returns `data` with labels that are not quite integers rounded: those off by at most half a `step`, which
 * is the rounding of integers scaled by a slope, or by 0.001. A step above 0.5 rounds no label.
 */
export function roundLabels(data: Float32Array, step = 0): Float32Array {
  const half = step / 2;
  const tolerance = half <= LARGEST_TOLERANCE ? Math.max(TOLERANCE, half + 1e-6) : TOLERANCE;
  return data.map((value) => {
    const label = Math.round(value);
    return Math.abs(value - label) <= tolerance ? label : value;
  });
}

/**
 * Converts the voxels of the label file `name` to network classes, in the same order. Throws DataError for a
 * value that `convention` does not have; the message lists the values in the file and the conventions that
 * would fit.
 */
export function toClasses(
  data: Float32Array,
  convention: LabelConvention,
  name: string,
  { step = 0, names = [name] }: LabelFile = {},
): Uint8Array {
  const table = LABEL_CONVENTIONS[convention];
  const labels = roundLabels(data, step);
  const classes = new Uint8Array(data.length);
  for (let i = 0; i < labels.length; i++) {
    const known = table[labels[i]!];
    if (known === undefined) throw unknownLabel(labels, convention, name, names);
    classes[i] = known;
  }
  return classes;
}

/** Converts network classes to the values of `convention`; of several values of a class to the smallest. */
export function fromClasses(classes: Uint8Array, convention: LabelConvention): Uint8Array {
  const table = Object.entries(LABEL_CONVENTIONS[convention]).reverse();
  const values = new Map(table.map(([value, c]) => [c, Number(value)]));
  return classes.map((c) => {
    const value = values.get(c);
    if (value === undefined) throw new Error(`fromClasses: expected classes 0 to 3, got ${c}`);
    return value;
  });
}

/** The challenge's part in ids since 2023. */
const PART = /\bBraTS-(GLI|PED|MET|SSA|MEN|GoAT)-/i;
/** Names since 2023 have that part, or a modality after a hyphen. */
const SINCE_2023 = new RegExp(`-(t1n|t1c|t2w|t2f)\\.nii|${PART.source}`, "i");
const UNTIL_2021 = /[_-](t1|t2|t1ce|flair)\.nii/i;

/** Tells whether files are named as in BraTS since 2023, where 4 never means enhancing tumour. */
export function namedSince2023(names: readonly string[]): boolean {
  const old = (name: string) => UNTIL_2021.test(name) && !SINCE_2023.test(name);
  return names.some((name) => SINCE_2023.test(name)) && !names.some(old);
}

/** Returns the conventions that have all of these values and are not ruled out by the files' `names`. */
export function fittingConventions(
  values: Iterable<number>,
  names: readonly string[] = [],
): LabelConvention[] {
  const labels = [...roundLabels(Float32Array.from(values))];
  const fitting = CONVENTION_NAMES.filter((name) =>
    labels.every((label) => label in LABEL_CONVENTIONS[name]),
  );
  const excluded = new Set<LabelConvention>();
  // Without a cavity both number alike, and the older name is the better known.
  if (fitting.includes("brats2023")) excluded.add("brats2024-gli");
  if (namedSince2023(names)) excluded.add("brats");
  const parts = new Set(names.flatMap((name) => PART.exec(name)?.[1]!.toUpperCase() ?? []));
  if (parts.size) {
    excluded.add("msd");
    if (!parts.has("PED")) excluded.add("brats2024-ped");
    else if (parts.size === 1) excluded.add("brats2024-gli");
  }
  return fitting.filter((name) => !excluded.has(name));
}

/** Returns the advice to choose one of `conventions`: `use --labels brats (1 ...) or --labels msd (...)`. */
export function labelFlags(conventions: readonly LabelConvention[]): string {
  const flags = conventions.map((name) => `--labels ${name} (${meaningOf(name)})`);
  const last = flags.pop()!;
  return `use ${flags.length ? `${flags.join(", ")} or ${last}` : last}`;
}

/** Returns the tissue of each value but 0: `1 necrotic core, 2 oedema, ...`. */
export function meaningOf(convention: LabelConvention): string {
  const values = Object.keys(LABEL_CONVENTIONS[convention]).map(Number).filter(Boolean);
  return values.map((value) => `${value} ${tissueOf(convention, value)}`).join(", ");
}

/** Counts the voxels of each value, smallest value first. */
export function labelCounts(data: Float32Array | Uint8Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const value of data) counts.set(value, (counts.get(value) ?? 0) + 1);
  return new Map([...counts].sort(([a], [b]) => a - b));
}

function unknownLabel(
  labels: Float32Array,
  convention: LabelConvention,
  name: string,
  names: readonly string[],
): DataError {
  const counts = labelCounts(labels);
  const listed = [...counts].slice(0, 8).map(([value, count]) => `${+value.toFixed(4)} (${count} voxels)`);
  if (counts.size > 8) listed.push(`${counts.size - 8} more values`);
  const has = Object.keys(LABEL_CONVENTIONS[convention]).join(", ");
  const advice = labelAdvice(counts.keys(), names);
  return new DataError(
    `${name}: expected labels ${has} (${convention}), got ${listed.join(", ")}: ${advice}`,
  );
}

/** Returns the advice on values of no convention, or of another one than was expected. */
export function labelAdvice(values: Iterable<number>, names: readonly string[]): string {
  const fitting = fittingConventions(values, names);
  if (!fitting.length) return "no convention has all of these values: is it a label map of brain tumours?";
  if (fitting.length === 1) return `these values fit ${fitting[0]}: ${labelFlags(fitting)}`;
  return `these values fit ${fitting.length} conventions: ${labelFlags(fitting)}`;
}
