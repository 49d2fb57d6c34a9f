// Scores as a table for the terminal: Dice and HD95 of each region and their mean, one row per case or stage.

import { REGION_NAMES } from "../model/regions.ts";
import { CONVENTIONS, type RegionScores, type Scores, type Summary } from "../model/summary.ts";

/** One row: a case, a mean, a stage. */
export interface ScoreRow {
  name: string;
  scores: RegionScores;
}

/** All cases of a summary and their mean, with a footnote where the convention for empty regions decided. */
export function formatSummary(summary: Summary): string {
  const cases = summary.metric_per_case.map((row) => ({ name: row.case, scores: row.metrics }));
  const table = formatScores([...cases, { name: "mean", scores: summary.mean }], "case");
  const note = conventionNote(summary);
  return note === null ? table : `${table}\n* ${note}`;
}

/** Rows of Dice (0 to 1) and HD95 (mm); a score that only the convention defines is marked with a star. */
export function formatScores(rows: readonly ScoreRow[], heading: string): string {
  const wide = Math.max(heading.length, ...rows.map(({ name }) => name.length));
  const columns = [...REGION_NAMES, "mean"];
  const lines = [
    `${" ".repeat(wide)}    ${"Dice".padEnd(8 * columns.length)}    HD95 (mm)`,
    `${heading.padEnd(wide)}  ${columns.map(head(8)).join("")}    ${columns.map(head(9)).join("")}`,
  ];
  for (const { name, scores } of rows) {
    const regions = REGION_NAMES.map((region) => scores[region]);
    const cells = (key: "Dice" | "HD95", digits: number, width: number): string => {
      const mean = regions.reduce((sum, row) => sum + row[key], 0) / regions.length;
      const marked = regions.map((row) => row[key].toFixed(digits) + (undecided(row, key) ? "*" : " "));
      return [...marked, `${mean.toFixed(digits)} `].map((cell) => cell.padStart(width)).join("");
    };
    lines.push(`${name.padEnd(wide)}  ${cells("Dice", 3, 8)}    ${cells("HD95", 1, 9)}`);
  }
  return lines.map((line) => line.trimEnd()).join("\n");
}

/** One sentence on a summary's empty regions, or null where every region is in both maps of every case. */
export function conventionNote({ convention, empty, metric_per_case: cases }: Summary): string | null {
  const { both_empty: both, one_empty: one } = CONVENTIONS[convention];
  const parts = REGION_NAMES.flatMap((region) => {
    const { both, reference, prediction } = empty[region];
    const kinds = [
      both > 0 ? `in both maps of ${both}` : "",
      reference > 0 ? `in the reference only of ${reference}` : "",
      prediction > 0 ? `in the prediction only of ${prediction}` : "",
    ].filter((text) => text !== "");
    return kinds.length > 0 ? [`${region} is empty ${kinds.join(", ")}`] : [];
  });
  if (parts.length === 0) return null;
  const rule =
    `both empty Dice ${both.Dice} and HD95 ${both.HD95}, ` +
    `one empty Dice ${one.Dice} and HD95 ${one.HD95.toFixed(2)} mm`;
  return `${parts.join("; ")} (of ${cases.length} cases): scored by the convention "${convention}": ${rule}`;
}

function head(width: number): (text: string) => string {
  return (text) => `${text} `.padStart(width);
}

function undecided({ n_pred, n_ref }: Scores, key: "Dice" | "HD95"): boolean {
  return key === "Dice" ? n_pred + n_ref === 0 : n_pred === 0 || n_ref === 0;
}
