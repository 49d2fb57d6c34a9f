// Checks a whole data set: first each case, with the voxels of one case in memory at a time, then the cases
// against each other. If no layout is recognised, every NIfTI file is checked by itself.

import { append, smallest } from "../../engine/values.ts";
import { type CaseExpectations, checkCase, type CaseReport, readBytes } from "./checkCase.ts";
import { checkNumbers, type Findings } from "./checkVolume.ts";
import { differingGrids } from "./grids.ts";
import { gapsOf } from "../datasets/gaps.ts";
import { type Dataset, type Source, type Survey, surveyDataset } from "../datasets/datasets.ts";
import { collectProblems } from "../errors.ts";
import { formatSize, type Vec3 } from "../nifti/geometry.ts";
import { labelAdvice, type LabelConvention, namedSince2023 } from "../datasets/labels.ts";
import { readNifti } from "../nifti/nifti.ts";

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
  /** Those of imagesTs come last. */
  cases: CaseReport[];
  /** The number of cases in imagesTs, which training does not use. */
  newCases: number;
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
    newCases: 0,
    problems: [],
    warnings: [],
  };
  const survey = await collectProblems(report.problems, () => surveyDataset(source, options));
  if (!survey) {
    await checkLooseFiles(source, report, seen);
    return report;
  }
  const { layout, convention, why, cases, newCases, problems } = survey;
  Object.assign(report, { layout, convention, why, newCases: newCases.length });
  append(report.problems, problems);
  const total = cases.length + newCases.length;
  for (const [done, files] of [...cases, ...newCases].entries()) {
    const labels = options.labels && done < cases.length;
    const { report: one } = await checkCase(source, files, convention, { ...options, labels });
    report.cases.push(one);
    seen(done + 1, total, one);
  }
  compareCases(report, options);
  const { modalities, required = modalities } = options;
  const gaps = gapsOf([...cases, ...newCases], modalities);
  if (gaps && required.length < modalities.length)
    report.warnings.push(
      `some cases lack contrasts: ${gaps}: a network trains on the cases that have what it sees, and predicts these`,
    );
  append(report.warnings, survey.warnings);
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

/** The cases of a data set or of a run, and the findings about them. */
type Compared = Pick<CheckReport, "cases" | "convention" | keyof Findings>;

/** Compares cases with each other, and adds what it finds to the report. */
export function compareCases(
  report: Compared,
  { labels, patch }: Pick<CheckOptions, "labels" | "patch">,
): void {
  findDuplicates(report, labels ? "problems" : "warnings");
  append(report.warnings, differingGrids(report.cases));
  checkSizes(report, patch);
  checkClasses(report, { labels });
}

/**
 * Finds the same scan in two cases: one of them may have the wrong name, and for training both could be in
 * the training and in the test set.
 */
export function findDuplicates(
  { cases, ...found }: Pick<Compared, "cases" | keyof Findings>,
  kind: keyof Findings,
): void {
  const first = new Map<string, { id: string; path: string }>();
  for (const { id, images } of cases) {
    for (const { digest, path } of Object.values(images)) {
      const other = digest === undefined ? undefined : first.get(digest);
      if (digest !== undefined && !other) first.set(digest, { id, path });
      if (!other || other.id === id) continue;
      found[kind].push(
        `${other.path} and ${path}: expected two different scans, got the same voxels: remove one of the cases`,
      );
    }
  }
}

/** Warns of brains smaller than the patch: most of a batch could then be background. */
function checkSizes({ cases, warnings }: Compared, patch: Vec3): void {
  const small = cases.flatMap(({ id, grid }) =>
    grid?.brain.some((length, axis) => length < patch[axis]!) ? [{ id, size: grid.brain }] : [],
  );
  if (!small.length) return;
  const least = (axis: 0 | 1 | 2) => smallest(small.map(({ size }) => size[axis]));
  const fitting = ([0, 1, 2] as const).map((axis) => Math.min(patch[axis]!, Math.max(16, least(axis) & ~15)));
  const where = `${small.length} of ${cases.length} cases (${small[0]!.id}: ${formatSize(small[0]!.size)})`;
  const remedy = `use --patch ${fitting.join()}, which fits into all of them`;
  warnings.push(
    `the brain is smaller than the patch of ${formatSize(patch)} in ${where}: ` +
      `the rest of each patch is background; ${remedy}`,
  );
}

/**
 * Warns of tissues that no case has, and of a convention older than the files' names. Without a convention,
 * adds a problem with those that the values fit.
 */
function checkClasses(
  { cases, convention, warnings, problems }: Compared,
  { labels }: Pick<CheckOptions, "labels">,
): void {
  const labelled = cases.flatMap(({ label }) => (label ? [label] : []));
  const names = cases.flatMap(({ images, label }) =>
    [...Object.values(images), ...(label ? [label] : [])].map(({ path }) => path),
  );
  if (!labels && !labelled.length) return;
  if (!convention) {
    const values = [...new Set(labelled.flatMap((label) => label.values.map(([value]) => value)))].sort(
      (a, b) => a - b,
    );
    if (!values.length) return;
    const got = `got the values ${values.join(", ")}`;
    problems.push(`labels: expected a known convention, ${got}: ${labelAdvice(values, names)}`);
    return;
  }
  if (convention === "brats" && namedSince2023(names)) {
    const year = "files are named as in BraTS since 2023, where no label 4 is enhancing tumour";
    warnings.push(`labels: ${year}: is the convention brats right?`);
  }
  const whole = labelled.filter(({ classes }) => classes.length);
  for (const { name, value } of whole[0]?.classes ?? []) {
    const some = whole.some(({ classes }) => classes.some((c) => c.value === value && c.voxels));
    if (!some) warnings.push(`no case has ${name} (${value}): is the convention ${convention} right?`);
  }
}
