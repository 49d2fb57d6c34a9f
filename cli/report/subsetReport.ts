// The table of fifteen for a terminal, as CSV and as markdown in the literature's layout: a column for each
// contrast with a filled circle where it is there, then Dice, HD95, and the network.

import { append, largest } from "../../engine/values.ts";
import type { Modality } from "../../data/datasets/datasets.ts";
import { CONVENTIONS } from "../../model/scoring/conventions.ts";
import { type SubsetComparison, tooFew } from "../../trainer/experiments/subsetComparison.ts";
import { subsetName } from "../../data/datasets/subsets.ts";
import {
  type Columns,
  DICE_COLUMNS,
  HD95_COLUMNS,
  LEAST_ET,
  type Score,
  type SubsetRow,
  type SubsetTable,
} from "../../trainer/experiments/subsetTable.ts";
import { conventionWords, formatScore } from "../terminal/table.ts";
import { csv } from "../files/csv.ts";

/** A table, the run's name, and another run to compare with. */
export interface SubsetReport {
  name: string;
  table: SubsetTable;
  against: { name: string; comparisons: SubsetComparison[] } | null;
}

/** The contrasts in the order of the literature's tables. */
export const CIRCLES: readonly (readonly [Modality, string])[] = [
  ["flair", "FLAIR"],
  ["t1", "T1"],
  ["t1ce", "T1ce"],
  ["t2", "T2"],
];

/** The heads of the columns of scores. */
export const SCORE_HEADS: readonly string[] = [
  ...DICE_COLUMNS.map((column, i) => (i ? column : `Dice ${column}`)),
  ...HD95_COLUMNS.map((column, i) => (i ? column : `HD95 ${column}`)),
];

/** The circles of a subset, in the order of CIRCLES. */
export function circles(subset: readonly Modality[]): string[] {
  return CIRCLES.map(([modality]) => (subset.includes(modality) ? "●" : "○"));
}

/** The means of a row's columns as text; dashes without scores. */
export function scoreCells(scores: Columns<Score> | null): string[] {
  return [
    ...DICE_COLUMNS.map((column) => formatScore(scores?.Dice[column].mean ?? null, 3)),
    ...HD95_COLUMNS.map((column) => formatScore(scores?.HD95[column].mean ?? null, 1)),
  ];
}

/** "3 of 4". */
export function countedText({ cases }: SubsetRow, { cases: all }: SubsetTable): string {
  return `${cases.length} of ${all.length}`;
}

/** The name of the row that is the mean over subsets: it says how many of them have scores. */
export function meanName({ rows }: SubsetTable): string {
  const scored = rows.filter(({ scores }) => scores).length;
  return scored === rows.length ? "mean" : `mean of ${scored}`;
}

/** Sentences on how to read the table. */
export function subsetNotes({ table, against }: SubsetReport): string[] {
  const { convention, rows } = table;
  const unscored = rows.filter(({ network }) => network === null).map(({ subset }) => subsetName(subset));
  const notes = [
    `Regions that are empty in a map are scored by the convention "${convention}": ` +
      `${conventionWords(CONVENTIONS[convention])}; subsets.json has the means by every convention.`,
    `ETpp is the Dice of ET where a prediction of fewer than ${LEAST_ET} voxels of ET counts as without ET, as in ` +
      "mmFormer's predict.py. The rule is made for voxels of 1 mm.",
    "Subsets in which a network sees the same contrasts of the same cases have the same scores.",
  ];
  if (rows.some((row) => row.lacking.length))
    notes.push("A case that lacks a contrast of a subset does not count for it; subsets.csv names these.");
  if (unscored.length) notes.push(`No network fits ${unscored.join(", ")}: train students of these.`);
  if (!against) return notes;
  notes.push(
    "Differences are paired by case: this run less the other, with 95 % bootstrap intervals, and Wilcoxon's " +
      "signed-rank test, two-sided, corrected by Holm over the subsets.",
  );
  const few = tooFew(against.comparisons);
  return few === null ? notes : [...notes, few];
}

/** The table as lines of aligned columns, with the comparison and the notes. */
export function subsetText(report: SubsetReport): string {
  const { table, against } = report;
  const rows = table.rows.map((row) => [
    ...circles(row.subset),
    ...scoreCells(row.scores),
    countedText(row, table),
    row.network ?? "none fits",
  ]);
  const mean = [meanName(table), "", "", "", ...scoreCells(table.mean), "", ""];
  const heads = [...CIRCLES.map(([, name]) => name), ...SCORE_HEADS, "cases", "network"];
  const lines = aligned([heads, ...rows, mean], (column) => column >= 4 && column < heads.length - 1);
  if (against)
    append(lines, [
      "",
      `less ${against.name}:`,
      ...aligned(comparisonRows(against.comparisons), (c) => c > 1),
    ]);
  return [...lines, "", ...subsetNotes(report).map((note) => `* ${note}`)].join("\n");
}

/** The table as markdown. */
export function subsetMarkdown(report: SubsetReport): string {
  const { table, name, against } = report;
  const heads = [...CIRCLES.map(([, title]) => title), ...SCORE_HEADS, "cases", "network"];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rows = table.rows.map((row) =>
    line([
      ...circles(row.subset),
      ...scoreCells(row.scores),
      countedText(row, table),
      row.network ?? "none fits",
    ]),
  );
  const mean = line([meanName(table), "", "", "", ...scoreCells(table.mean), "", ""]);
  const rule = line(heads.map((_, i) => (i < 4 ? ":-:" : i === heads.length - 1 ? "---" : "--:")));
  const lines = [`# ${name}: every subset of the contrasts`, "", line(heads), rule, ...rows, mean];
  if (against) {
    const [first, ...more] = comparisonRows(against.comparisons);
    const kinds = line(first!.map((_, i) => (i > 1 ? "--:" : "---")));
    append(lines, ["", `## Less ${against.name}`, "", line(first!), kinds, ...more.map(line)]);
  }
  return [...lines, "", ...subsetNotes(report).map((note) => `- ${note}`), ""].join("\n");
}

/** The scores as CSV, a row for each subset and case; a case without scores says why in `status`. */
export function subsetCsv({ table }: SubsetReport): string {
  const heads = [
    ...DICE_COLUMNS.map((column) => `Dice_${column}`),
    ...HD95_COLUMNS.map((column) => `HD95_${column}`),
  ];
  const lines = table.rows.flatMap((row) => {
    const scored = new Map(row.cases.map((scores) => [scores.case, scores]));
    return table.cases.map((id) => {
      const found = scored.get(id);
      const status = found ? "scored" : row.network === null ? "no network fits" : "lacks a contrast";
      return [
        subsetName(row.subset),
        ...CIRCLES.map(([modality]) => (row.subset.includes(modality) ? 1 : 0)),
        row.network,
        id,
        status,
        ...DICE_COLUMNS.map((column) => found?.Dice[column]),
        ...HD95_COLUMNS.map((column) => found?.HD95[column]),
      ];
    });
  });
  const contrasts = CIRCLES.map(([modality]) => modality);
  return csv([["subset", ...contrasts, "network", "case", "status", ...heads], ...lines]);
}

/** The comparisons of the mean over regions, with a row of heads. */
export function comparisonRows(comparisons: readonly SubsetComparison[]): string[][] {
  const heads = ["subset", "of", "difference", "95 % interval", "cases", "p", "p (Holm)"];
  const rows = comparisons
    .filter(({ column }) => column === "mean")
    .map(({ subset, measure, difference, interval, cases, p, holm }) => {
      const digits = measure === "Dice" ? 3 : 1;
      const { low, high } = interval;
      return [
        subset,
        measure === "Dice" ? "Dice, mean" : "HD95 (mm), mean",
        signed(difference, digits),
        Number.isNaN(low) ? "-" : `${signed(low, digits)} to ${signed(high, digits)}`,
        String(cases),
        pText(p),
        holm === null ? "-" : pText(holm),
      ];
    });
  return [heads, ...rows];
}

function signed(value: number, digits: number): string {
  const text = formatScore(Math.abs(value), digits);
  return !(Number(text) > 0) ? text : `${value > 0 ? "+" : "-"}${text}`;
}

function pText(p: number): string {
  return p < 1e-3 ? p.toExponential(0) : p.toFixed(3);
}

/** Lines of cells in columns, aligned right where `right` is true. */
function aligned(rows: readonly (readonly string[])[], right: (column: number) => boolean): string[] {
  const wide = rows[0]!.map((_, c) => largest(rows.map((row) => row[c]!.length)));
  return rows.map((row) =>
    row
      .map((cell, c) => (right(c) ? cell.padStart(wide[c]!) : cell.padEnd(wide[c]!)))
      .join("  ")
      .trimEnd(),
  );
}
