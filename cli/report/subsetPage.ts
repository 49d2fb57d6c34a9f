// The table of fifteen as one page: a heat map of Dice and HD95, and the comparison with another run.

import { largest } from "../../engine/values.ts";
import {
  type Columns,
  DICE_COLUMNS,
  HD95_COLUMNS,
  type Score,
} from "../../trainer/experiments/subsetTable.ts";
import { escape, renderPage } from "./reportPage.ts";
import {
  CIRCLES,
  circles,
  comparisonRows,
  countedText,
  meanName,
  scoreCells,
  type SubsetReport,
  subsetNotes,
} from "./subsetReport.ts";

const GREEN = "0 158 115"; // Okabe and Ito's; the more, the better
const ORANGE = "213 94 0"; // the more, the worse
const STRONGEST = 0.6; // opacity, so that the text stays legible on light and on dark

/** The page of a table. */
export function subsetPage(report: SubsetReport): string {
  const { name, table, against } = report;
  const notes = `<ul class="notes">${subsetNotes(report)
    .map((note) => `<li>${escape(note)}</li>`)
    .join("")}</ul>`;
  const paired = against
    ? `<h2>Less ${escape(against.name)}</h2>${comparisonTable(comparisonRows(against.comparisons))}`
    : "";
  const count = `${table.cases.length} ${table.cases.length === 1 ? "case" : "cases"}`;
  return renderPage(`${name}: every subset of the contrasts`, count, [heatMap(report), paired, notes]);
}

/** The two rows of heads: the measures, then their regions between contrasts and network. */
const HEADS = `<tr>
<th colspan="4"></th>
<th colspan="${DICE_COLUMNS.length}" scope="colgroup">Dice</th>
<th colspan="${HD95_COLUMNS.length}" scope="colgroup">HD95 (mm)</th><th></th><th></th>
</tr><tr>
${CIRCLES.map(([, title]) => head(title, "circle")).join("")}
${regionHeads(DICE_COLUMNS)}${regionHeads(HD95_COLUMNS)}
${head("cases", "group")}${head("network", "text")}
</tr>`;

function head(title: string, style: string): string {
  return `<th scope="col" class="${style}">${escape(title)}</th>`;
}

function regionHeads([first, ...others]: readonly string[]): string {
  return [head(first!, "group"), ...others.map((name) => head(name, "region"))].join("");
}

function heatMap({ table }: SubsetReport): string {
  const worst = largest(
    table.rows.flatMap(({ scores }) =>
      HD95_COLUMNS.map((column) => scores?.HD95[column].mean ?? NaN).filter((value) => value > 0),
    ),
  );
  const rows = table.rows.map((row) => {
    const seen = circles(row.subset).map((circle) => `<td class="circle">${circle}</td>`);
    const last = `<td class="group">${countedText(row, table)}</td><td class="text" title="${escape(row.why)}">${escape(row.network ?? "none fits")}</td>`;
    return `<tr>${seen.join("")}${heatCells(row.scores, worst)}${last}</tr>`;
  });
  const mean = `<tr class="mean"><th colspan="4" scope="row">${meanName(table)}</th>${heatCells(table.mean, worst)}<td></td><td></td></tr>`;
  return `<div class="scroll"><table class="dense heat">
<thead>${HEADS}</thead>
<tbody>${[...rows, mean].join("\n")}</tbody></table></div>`;
}

/** The cells of scores, coloured by their value; the interval shows when the pointer rests on one. */
function heatCells(scores: Columns<Score> | null, worst: number): string {
  const texts = scoreCells(scores);
  const all = [
    ...DICE_COLUMNS.map((column) => ({ score: scores?.Dice[column], digits: 3, colour: GREEN, most: 1 })),
    ...HD95_COLUMNS.map((column) => ({
      score: scores?.HD95[column],
      digits: 1,
      colour: ORANGE,
      most: worst,
    })),
  ];
  return all
    .map(({ score, digits, colour, most }, i) => {
      const style = i === 0 || i === DICE_COLUMNS.length ? ' class="group"' : "";
      if (!score || Number.isNaN(score.mean)) return `<td${style}>${texts[i]}</td>`;
      const strength = STRONGEST * Math.min(1, Math.max(0, score.mean / most));
      const { low, high } = score;
      const interval = Number.isNaN(low)
        ? ""
        : ` title="95 % interval ${low.toFixed(digits)} to ${high.toFixed(digits)}"`;
      const opacity = Number.isNaN(strength) ? 0 : strength.toFixed(2);
      return `<td${style} style="background-color: rgb(${colour} / ${opacity})"${interval}>${texts[i]}</td>`;
    })
    .join("");
}

/** The rows of each measure end with its mean, below a rule. */
function comparisonTable([heads, ...rows]: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string) =>
    row.map((cell, i) => `<${tag}${i < 2 ? ' class="text"' : ""}>${escape(cell)}</${tag}>`).join("");
  const body = rows
    .map((row) => `<tr${row[0] === "mean" ? ' class="mean"' : ""}>${cells(row, "td")}</tr>`)
    .join("\n");
  return `<div class="scroll"><table><thead><tr>${cells(heads!, "th")}</tr></thead><tbody>${body}</tbody></table></div>`;
}
