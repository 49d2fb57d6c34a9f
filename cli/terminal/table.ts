// Tables of scores for the terminal: Dice and HD95 of each region and their mean, one row per case or stage.

import { largest } from "../../engine/values.ts";
import { type Convention, CONVENTIONS, type EmptyScores } from "../../model/scoring/conventions.ts";
import { REGION_NAMES } from "../../model/scoring/regions.ts";
import type { RegionScores, Scores, Summary } from "../../model/scoring/summary.ts";

/** One row: a case, a mean, a stage. */
export interface ScoreRow {
  name: string;
  scores: RegionScores;
}

/**
 * The table of a summary's cases and their mean, with a footnote on empty regions if there are any. The line
 * of the mean says over how many cases it is.
 */
export function formatSummary(summary: Summary): string {
  const cases = summary.metric_per_case.map((row) => ({ name: row.case, scores: row.metrics }));
  const all = summary.coverage?.references ?? cases.length;
  const name = `mean of ${cases.length}${all > cases.length ? ` of ${all}` : ""}`;
  const table = formatScores([...cases, { name, scores: summary.mean }], "case");
  const note = conventionNote(summary);
  return note === null ? table : `${table}\n* ${note}`;
}

/** Rows of Dice (0 to 1) and HD95 (mm); a score that only the convention defines is marked with a star. */
export function formatScores(rows: readonly ScoreRow[], heading: string): string {
  const wide = largest(
    rows.map(({ name }) => name.length),
    heading.length,
  );
  const columns = [...REGION_NAMES, "mean"];
  const lines = [
    `${" ".repeat(wide)}    ${"Dice".padEnd(8 * columns.length)}    HD95 (mm)`,
    `${heading.padEnd(wide)}  ${columns.map(head(8)).join("")}    ${columns.map(head(9)).join("")}`,
  ];
  for (const { name, scores } of rows) {
    const regions = REGION_NAMES.map((region) => scores[region]);
    const cells = (key: "Dice" | "HD95", digits: number, width: number): string => {
      const marked = regions.map(
        (row) => formatScore(row[key], digits) + (byConvention(row, key) ? "*" : " "),
      );
      const mean = formatScore(meanScore(regions.map((row) => row[key])), digits);
      return [...marked, `${mean} `].map((cell) => cell.padStart(width)).join("");
    };
    lines.push(`${name.padEnd(wide)}  ${cells("Dice", 3, 8)}    ${cells("HD95", 1, 9)}`);
  }
  return lines.map((line) => line.trimEnd()).join("\n");
}

/** A score's digits, or a dash where the convention excludes it (NaN, or null in JSON). */
export function formatScore(score: number | null, digits: number): string {
  return score === null || Number.isNaN(score) ? "-" : score.toFixed(digits);
}

/** The mean of a row's regions; NaN if one of them is excluded. */
export function meanScore(scores: readonly (number | null)[]): number {
  return scores.reduce<number>((sum, score) => sum + (score ?? NaN), 0) / scores.length;
}

/**
 * One sentence on the convention's part in a summary: the scores of its empty regions, or that lesions are
 * scored one by one. Null if every region is in both maps of every case, so that the convention changes
 * nothing.
 */
export function conventionNote({ convention, empty, metric_per_case: cases }: Summary): string | null {
  const rule: Convention = CONVENTIONS[convention];
  const parts = REGION_NAMES.flatMap((region) => {
    const { both, reference, prediction } = empty[region];
    const kinds = [
      both > 0 ? `in both maps of ${both}` : "",
      reference > 0 ? `in the reference only of ${reference}` : "",
      prediction > 0 ? `in the prediction only of ${prediction}` : "",
    ].filter((text) => text !== "");
    return kinds.length > 0 ? [`${region} is empty ${kinds.join(", ")}`] : [];
  });
  const empties = parts.length === 0 ? "" : `${parts.join("; ")} (of ${cases.length} cases): `;
  if (rule.lesion_wise)
    return `${empties}scored lesion by lesion by the convention "${convention}": ${conventionWords(rule)}`;
  return empties === ""
    ? null
    : `${empties}scored by the convention "${convention}": ${conventionWords(rule)}`;
}

function head(width: number): (text: string) => string {
  return (text) => `${text} `.padStart(width);
}

/** True if a score comes from the convention alone. With one empty map, a Dice of 0 is by definition. */
function byConvention({ Dice, n_pred, n_ref }: Scores, key: "Dice" | "HD95"): boolean {
  if (n_pred > 0 && n_ref > 0) return false;
  return key === "HD95" || Dice !== 0 || n_pred + n_ref === 0;
}

/** The scores that a convention puts in place of undefined ones, in words. */
export function conventionWords({
  lesion_wise,
  both_empty,
  reference_empty,
  prediction_empty,
}: Convention): string {
  const [both, reference, prediction] = [both_empty, reference_empty, prediction_empty].map(put);
  if (lesion_wise) return `no lesion ${both}, one missed or false ${reference}`;
  if (reference === prediction) return `both empty ${both}, one empty ${reference}`;
  return `both empty ${both}, reference empty ${reference}, prediction empty ${prediction}`;
}

function put({ Dice, HD95 }: EmptyScores): string {
  const distance = HD95 === null ? "excluded" : HD95 === 0 ? "0" : `${Number(HD95.toFixed(2))} mm`;
  return `Dice ${Dice ?? "excluded"} and HD95 ${distance}`;
}
