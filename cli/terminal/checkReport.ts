// The report of the data check: some lines per case as it goes, then a table, all warnings and all problems.

import { largest, smallest } from "../../engine/values.ts";
import { allFindings, type CheckReport } from "../../data/check/check.ts";
import type { CaseReport } from "../../data/check/checkCase.ts";
import { formatSpacing, short } from "../../data/check/checkVolume.ts";
import { grouped } from "../../data/errors.ts";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { formatSize } from "../../data/nifti/geometry.ts";
import { meaningOf, mergedLabels } from "../../data/datasets/labels.ts";
import { quantile } from "../../model/scoring/statistics.ts";

const LAYOUTS = {
  brats: "BraTS folders",
  nnunet: "nnU-Net raw",
  msd: "Decathlon (MSD)",
  list: "list of images",
} as const;

/** Lines on a case: its grid, each image's range, the tumour's parts in voxels and ml. */
export function caseLines({ id, grid, images, label, problems, warnings }: CaseReport): string[] {
  const where = grid
    ? `${formatSize(grid.size)} voxels of ${formatSpacing(grid.spacing)} mm, ${grid.orientation}`
    : "no readable image";
  const marks = [count(problems.length, "problem"), count(warnings.length, "warning")].filter(Boolean);
  const ranges = MODALITIES.flatMap((modality) => {
    const image = images[modality];
    if (!image) return [];
    const { min, max, mean, deviation } = image;
    return [`${modality} ${short(min)} to ${short(max)} (${short(mean)} ± ${short(deviation)})`];
  });
  return [
    `${id}: ${where}${marks.length ? `  [${marks.join(", ")}]` : ""}`,
    ...(ranges.length ? [`  ${ranges.join(", ")}`] : []),
    ...(label ? [`  ${labelLine(label)}`] : []),
  ];
}

/** Lines on the data set: its layout and label convention, how they were recognised, and its patients. */
export function headLines({ name, layout, convention, why, newCases, patients }: CheckReport): string[] {
  if (!layout) return [];
  return [
    "",
    `${name}: ${LAYOUTS[layout]}: ${why.layout}`,
    ...(newCases ? [`${count(newCases, "case")} of imagesTs, for predict alone`] : []),
    `labels: ${convention ? `${convention} (0 background, ${meaningOf(convention)}): ${why.convention}` : "not known: see below"}`,
    ...(convention ? mergedLabels(convention).map(indent) : []),
    ...(patients === undefined ? [] : [`patients: ${patients}: a drawn split keeps them together`]),
  ];
}

/** The table of images and labels, the warnings, the problems, and the verdict. */
export function summaryLines(report: CheckReport): string[] {
  const { cases } = report;
  const problems = allFindings(report, "problems");
  const warnings = allFindings(report, "warnings");
  return [
    ...(cases.length ? ["", ...table(cases)] : []),
    ...(warnings.length
      ? ["", `${count(warnings.length, "warning")}:`, ...grouped(warnings).map(indent)]
      : []),
    ...(problems.length
      ? ["", `${count(problems.length, "problem")}:`, ...grouped(problems).map(indent)]
      : []),
    "",
    verdict(cases, problems.length, warnings.length),
  ];
}

function verdict(cases: readonly CaseReport[], problems: number, warnings: number): string {
  const faulty = cases.filter((one) => one.problems.length).length;
  const all = count(cases.length, "case") || "no cases";
  const found = `${count(problems, "problem") || "no problems"}, ${count(warnings, "warning") || "no warnings"}`;
  return `${all}${faulty ? `, ${faulty} of them with problems` : ""}: ${found}`;
}

/** One row per modality and class: in how many cases it is, and its range. */
function table(cases: readonly CaseReport[]): string[] {
  const rows: [string, string, string][] = [["", "cases", "smallest to largest"]];
  for (const modality of MODALITIES) {
    const images = cases
      .flatMap((one) => one.images[modality] ?? [])
      .filter(({ max }) => Number.isFinite(max));
    const [low, high] = [smallest(images.map((i) => i.min)), largest(images.map((i) => i.max))];
    const mean = images.map((i) => i.mean);
    const range = `${short(low)} to ${short(high)}, mean of a brain ${short(smallest(mean))} to ${short(largest(mean))}`;
    rows.push([modality, String(images.length), images.length ? range : ""]);
  }
  const labels = cases.flatMap(({ label }) => (label ? [label] : []));
  rows.push(["label", String(labels.length), ""]);
  for (const { name, value } of labels.find(({ classes }) => classes.length)?.classes ?? []) {
    const volumes = labels.flatMap(({ classes }) => classes.filter((c) => c.value === value && c.voxels));
    const ml = volumes.map((c) => c.ml).sort((a, b) => a - b);
    const range = ml.length
      ? `${short(ml[0]!)} to ${short(ml.at(-1)!)} ml, median ${short(quantile(ml, 0.5))} ml`
      : "";
    rows.push([`${name} (${value})`, String(volumes.length), range]);
  }
  const wide = largest(rows.map(([name]) => name.length));
  return rows.map(([name, cases, range]) => `${name.padEnd(wide)}  ${cases.padStart(5)}  ${range}`.trimEnd());
}

function labelLine({ values, classes }: NonNullable<CaseReport["label"]>): string {
  if (classes.length)
    return classes.map((c) => `${c.name} (${c.value}) ${c.voxels} voxels, ${short(c.ml)} ml`).join("; ");
  const listed = values.slice(0, 8).map(([value, voxels]) => `${short(value)}: ${voxels} voxels`);
  return `label values ${listed.join(", ")}${values.length > 8 ? `, ${values.length - 8} more` : ""}`;
}

function count(n: number, what: string): string {
  return n ? `${n} ${what}${n > 1 ? "s" : ""}` : "";
}

const indent = (line: string): string => `  ${line}`;
