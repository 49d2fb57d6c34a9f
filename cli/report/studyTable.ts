// The tables of a study as text, Markdown and HTML. Differences are in points: hundredths of Dice.

import { largest } from "../../engine/values.ts";
import type { StudyComparison, StudyResult } from "../../trainer/experiments/studyResult.ts";
import type { StudyRow } from "../../trainer/experiments/studyRows.ts";
import { escape } from "./reportPage.ts";

/** A number of points with its sign: "+1.2". */
export function points(value: number): string {
  const text = (100 * value).toFixed(1);
  if (Number(text) === 0) return "0.0";
  return value > 0 ? `+${text}` : text.replace("-", "−");
}

/** "kd, Hinton − none", with the contrast where there are several. */
export function comparisonName({ name, against }: StudyComparison): string {
  return `${name} − ${against}`;
}

const HEADS = [
  "comparison",
  "input",
  "difference",
  "95 % interval",
  "p (Holm)",
  "smallest shown",
  "cases × trainings",
  "verdict",
] as const;

function cells(comparison: StudyComparison): string[] {
  const { modality, mean, interval, holm, detectable, design, verdict } = comparison;
  return [
    comparisonName(comparison),
    modality,
    points(mean),
    `${points(interval.low)} to ${points(interval.high)}`,
    holm < 0.001 ? "< 0.001" : holm.toFixed(3),
    (100 * detectable).toFixed(1),
    `${design.cases} × ${design.trainings}`,
    verdict,
  ];
}

/** The study's tables as Markdown, for docs/explanation/evidence.md. */
export function studyMarkdown(title: string, command: string, result: StudyResult): string {
  const { comparisons, rows, zero, notes } = result;
  const line = (texts: readonly string[]) => `| ${texts.join(" | ")} |`;
  const table = (heads: readonly string[], body: readonly (readonly string[])[], words: number) => [
    line(heads),
    line(heads.map((_, i) => (i < words ? "---" : "---:"))),
    ...body.map(line),
  ];
  return [
    `### ${title}`,
    "",
    `\`${command}\``,
    "",
    ...table(HEADS, comparisons.map(cells), 2),
    "",
    ...table(SCORE_HEADS, rows.map(scoreCells), 2),
    "",
    ...zero.map((check) => `- ${zeroText(check)}`),
    ...notes.map((note) => `- ${note}`),
    "",
  ].join("\n");
}

const SCORE_HEADS = [
  "arm",
  "input",
  "Dice",
  "WT",
  "TC",
  "ET",
  "trainings",
  "gradient at the logits",
] as const;

function scoreCells({ name, modality, Dice, trainings, shares }: StudyRow): string[] {
  const spread = Number.isNaN(Dice.mean.deviation) ? "" : ` ± ${Dice.mean.deviation.toFixed(3)}`;
  const regions = (["WT", "TC", "ET"] as const).map((region) => Dice[region].mean.toFixed(3));
  return [
    name,
    modality,
    Dice.mean.mean.toFixed(3) + spread,
    ...regions,
    String(trainings),
    sharesText(shares),
  ];
}

/** Each term's share in percent: "segmentation 98 %, kd 3 %". */
function sharesText(shares: StudyRow["shares"]): string {
  return Object.entries(shares)
    .map(([term, share]) => `${term} ${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`)
    .join(", ");
}

/** The check's result in a sentence. */
export function zeroText({ method, same }: StudyResult["zero"][number]): string {
  return same
    ? `${method} with all its weights 0 has the weights of the baseline, bit for bit.`
    : `${method} with all its weights 0 differs from the baseline: its differences above are not those of its terms.`;
}

/** The comparisons for a terminal, a line each. */
export function verdictLines(comparisons: readonly StudyComparison[]): string[] {
  const wide = largest(
    comparisons.map((one) => comparisonName(one).length),
    0,
  );
  return comparisons.map((one) => {
    const [, modality, difference, interval] = cells(one) as [string, string, string, string];
    return `${comparisonName(one).padEnd(wide)}  ${modality}  ${difference} points (${interval}): ${one.verdict}`;
  });
}

export function comparisonsHtml(comparisons: readonly StudyComparison[]): string {
  return table(HEADS, comparisons.map(cells), [0, 1, 7]);
}

export function scoresHtml(rows: readonly StudyRow[]): string {
  return table(SCORE_HEADS, rows.map(scoreCells), [0, 1, 7]);
}

/** The differences of each region, and of HD95. */
export function regionsHtml(comparisons: readonly StudyComparison[]): string {
  const body = comparisons.map((one) => {
    const distance = Number.isNaN(one.HD95) ? "-" : one.HD95.toFixed(1).replace("-", "−");
    return [comparisonName(one), one.modality, ...Object.values(one.Dice).map(points), distance];
  });
  return table(["comparison", "input", "WT", "TC", "ET", "HD95 (mm)"], body, [0, 1]);
}

function table(
  heads: readonly string[],
  body: readonly (readonly string[])[],
  words: readonly number[],
): string {
  const style = (i: number) => (words.includes(i) ? ' class="text"' : "");
  const head = heads.map((name, i) => `<th scope="col"${style(i)}>${escape(name)}</th>`).join("");
  const rows = body.map(
    ([first = "", ...texts]) =>
      `<tr><th scope="row" class="text">${escape(first)}</th>` +
      `${texts.map((text, i) => `<td${style(i + 1)}>${escape(text)}</td>`).join("")}</tr>`,
  );
  return `<div class="scroll"><table class="dense"><thead><tr>${head}</tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div>`;
}
