// Checks a whole data set: first each case, with the voxels of one case in memory at a time, then the cases
// against each other. If no layout is recognised, every NIfTI file is checked by itself.

import { type CaseExpectations, checkCase, type CaseReport, readBytes } from "./checkCase.ts";
import { checkNumbers, type Findings, formatSpacing } from "./checkVolume.ts";
import { type Dataset, MODALITIES, type Source, type Survey, surveyDataset } from "../datasets/datasets.ts";
import { collectProblems } from "../errors.ts";
import { formatSize, type Vec3 } from "../nifti/geometry.ts";
import { fittingConventions, type LabelConvention } from "../datasets/labels.ts";
import { readNifti } from "../nifti/nifti.ts";
import { visibleFiles } from "../datasets/source.ts";

/** The requirements that a data set is checked against. */
export interface CheckOptions extends CaseExpectations {
  /** The label convention; detected from the names if absent. */
  convention?: LabelConvention | undefined;
  /** D, H, W of a training patch. */
  patch: Vec3;
}

/** The result of a check. Its own findings are about file names and about cases compared with each other. */
export interface CheckReport extends Findings {
  name: string;
  /** Null if no layout was recognised. */
  layout: Dataset["layout"] | null;
  convention: LabelConvention | null;
  /** The names that layout and convention were detected from. */
  why: Survey["why"];
  /** The number of patients, in words, if some have several cases. */
  patients?: string;
  cases: CaseReport[];
}

/**
 * Checks every file of `source`. Calls `seen` after each case (without a layout: after each file) with the
 * progress. Problems with the data go into the report; they throw no error.
 */
export async function checkDataset(
  source: Source,
  options: CheckOptions,
  seen: (done: number, total: number, report: CaseReport | null) => void = () => {},
): Promise<CheckReport> {
  const report: CheckReport = {
    name: source.name,
    layout: null,
    convention: null,
    why: { layout: "", convention: "" },
    cases: [],
    problems: [],
    warnings: [],
  };
  const survey = await collectProblems(report.problems, () => surveyDataset(source, options));
  if (!survey) {
    await checkLooseFiles(source, report, seen);
    return report;
  }
  const { layout, convention, why, cases, problems } = survey;
  Object.assign(report, { layout, convention, why });
  report.problems.push(...problems);
  for (const [done, files] of cases.entries()) {
    const one = await checkCase(source, files, convention, options);
    report.cases.push(one);
    seen(done + 1, cases.length, one);
  }
  findDuplicates(report);
  compareCases(report);
  checkSizes(report, options.patch);
  checkClasses(report, options);
  checkUnused(await visibleFiles(source), survey, report);
  return report;
}

/** Returns all problems, or all warnings, of a report: those of the data set, then those of its cases. */
export function allFindings(report: CheckReport, kind: keyof Findings): string[] {
  return [...report[kind], ...report.cases.flatMap((one) => one[kind])];
}

/** Reads every NIfTI file of a source without a layout. */
async function checkLooseFiles(
  source: Source,
  report: CheckReport,
  seen: (done: number, total: number, report: null) => void,
): Promise<void> {
  const paths = (await source.list()).filter((path) => /\.(nii|hdr)(\.gz)?$/i.test(path)).sort();
  const all = new Set(await source.list());
  for (const [done, path] of paths.entries()) {
    await collectProblems(report.problems, async () => {
      const pair = path.replace(/\.hdr(\.gz)?$/i, ".img$1");
      const image = pair !== path && all.has(pair) ? await readBytes(source, pair) : undefined;
      const { data } = await readNifti(await readBytes(source, path), path, image);
      checkNumbers(data, path, report.problems);
    });
    seen(done + 1, paths.length, null);
  }
  if (paths.length) report.warnings.push(`${paths.length} NIfTI files were checked one by one, not as cases`);
}

/** Finds the same scan under two names: its cases could be in both the training and the test set. */
function findDuplicates({ cases, problems }: CheckReport): void {
  const first = new Map<string, { id: string; path: string }>();
  for (const { id, images } of cases) {
    for (const { digest, path } of Object.values(images)) {
      const other = digest === undefined ? undefined : first.get(digest);
      if (digest !== undefined && !other) first.set(digest, { id, path });
      if (!other) continue;
      const remedy = other.id === id ? "one of them has the wrong name" : "remove one of the cases";
      problems.push(
        `${other.path} and ${path}: expected two different scans, got the same voxels: ${remedy}`,
      );
    }
  }
}

/** Warns if cases differ in orientation or voxel size. */
function compareCases({ cases, warnings }: CheckReport): void {
  const grouped = (of: (grid: NonNullable<CaseReport["grid"]>) => string) => {
    const groups = new Map<string, string[]>();
    for (const { id, grid } of cases) if (grid) groups.set(of(grid), [...(groups.get(of(grid)) ?? []), id]);
    return [...groups].sort(([, a], [, b]) => b.length - a.length);
  };
  const listed = (groups: [string, string[]][]) =>
    groups
      .slice(0, 6)
      .map(([name, ids]) => `${name} in ${ids.length} (${ids[0]}${ids.length > 1 ? ", ..." : ""})`)
      .join(", ");
  const orientations = grouped(({ orientation }) => orientation);
  if (orientations.length > 1) {
    const remedy = "a network sees axes, not anatomy: reorient all cases to one";
    warnings.push(`cases differ in orientation: ${listed(orientations)}: ${remedy}`);
  }
  const spacings = grouped(({ spacing }) => formatSpacing(spacing));
  if (spacings.length > 1) {
    const remedy = "this program does not resample: resample all cases to one";
    warnings.push(`cases differ in voxel size, mm: ${listed(spacings)}: ${remedy}`);
  }
}

/** Warns of brains smaller than the patch: most of a batch could then be background. */
function checkSizes({ cases, warnings }: CheckReport, patch: Vec3): void {
  const small = cases.flatMap(({ id, grid }) =>
    grid?.brain.some((length, axis) => length < patch[axis]!) ? [{ id, size: grid.brain }] : [],
  );
  if (!small.length) return;
  const least = (axis: 0 | 1 | 2) => Math.min(...small.map(({ size }) => size[axis]));
  const fitting = ([0, 1, 2] as const).map((axis) => Math.min(patch[axis]!, Math.max(16, least(axis) & ~15)));
  const where = `${small.length} of ${cases.length} cases (${small[0]!.id}: ${formatSize(small[0]!.size)})`;
  const remedy = `use --patch ${fitting.join()}, which fits into all of them`;
  warnings.push(
    `the brain is smaller than the patch of ${formatSize(patch)} in ${where}: ` +
      `the rest of each patch is background; ${remedy}`,
  );
}

/** Warns of classes that no case has. Without a convention, adds a problem with those that the values fit. */
function checkClasses(
  { cases, convention, warnings, problems }: CheckReport,
  { labels }: CheckOptions,
): void {
  const labelled = cases.flatMap(({ label }) => (label ? [label] : []));
  if (!labels && !labelled.length) return;
  if (!convention) {
    const values = [...new Set(labelled.flatMap((label) => label.values.map(([value]) => value)))].sort(
      (a, b) => a - b,
    );
    const fitting = fittingConventions(values);
    if (!values.length) return;
    const flags = fitting.map((name) => `--labels ${name}`).join(" or ");
    const remedy = fitting.length ? `use ${flags}` : "no convention has all of them";
    problems.push(`labels: expected a known convention, got the values ${values.join(", ")}: ${remedy}`);
    return;
  }
  const whole = labelled.filter(({ classes }) => classes.length);
  for (const { name, value } of whole[0]?.classes ?? []) {
    const some = whole.some(({ classes }) => classes.some((c) => c.value === value && c.voxels));
    if (!some) warnings.push(`no case has ${name} (${value}): is the convention ${convention} right?`);
  }
}

/** Warns of volumes that belong to no case: their names may be misspelt. */
function checkUnused(paths: readonly string[], { cases, layout }: Survey, report: CheckReport): void {
  const used = new Set(
    cases.flatMap(({ images, label }) => [
      ...MODALITIES.flatMap((modality) => images[modality]?.path ?? []),
      ...(label === undefined ? [] : [label]),
    ]),
  );
  for (const path of paths) {
    if (used.has(path)) continue;
    if (layout !== "brats" && /^(imagesTs|labelsTs)\//.test(path)) continue;
    if (VOLUME.test(path))
      report.warnings.push(`${path}: belongs to no case and is ignored: ${HINT[layout]}`);
  }
}

const VOLUME = /\.(nii|nii\.?gz|nii\.\w+|hdr|img|mgz|mgh|nrrd|nhdr|mha|mhd|dcm|npy|npz)(\.gz)?$/i;
const HINT: Readonly<Record<Dataset["layout"], string>> = {
  brats:
    "names end in _t1, _t1ce, _t2, _flair, _seg (2023: -t1n, -t1c, -t2w, -t2f, -seg) and .nii or .nii.gz",
  nnunet: "images are imagesTr/CASE_0000.nii.gz with a channel of dataset.json, labels labelsTr/CASE.nii.gz",
  msd: "dataset.json lists the images and labels",
};
