// The table of fifteen as one page: a heat map of Dice and HD95, and the comparison with another run.

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
  SCORE_HEADS,
  type SubsetReport,
  subsetNotes,
} from "./subsetReport.ts";

const GREEN = "0 158 115"; // Okabe and Ito's; the more, the better
const ORANGE = "213 94 0"; // the more, the worse
const STRONGEST = 0.6; // opacity, so that the text stays legible on light and on dark

/** The page of a table. */
export function subsetPage(report: SubsetReport): string {
  const { name, table, against } = report;
  const notes = `<ul>${subsetNotes(report)
    .map((note) => `<li>${escape(note)}</li>`)
    .join("")}</ul>`;
  const paired = against
    ? `<h2>Less ${escape(against.name)}</h2>${plainTable(comparisonRows(against.comparisons))}`
    : "";
  const count = `${table.cases.length} ${table.cases.length === 1 ? "case" : "cases"}`;
  return renderPage(`${name}: every subset of the contrasts`, count, [heatMap(report), paired, notes]);
}

function heatMap({ table }: SubsetReport): string {
  const heads = [...CIRCLES.map(([, title]) => title), ...SCORE_HEADS, "cases", "network"];
  const worst = Math.max(
    ...table.rows.flatMap(({ scores }) =>
      HD95_COLUMNS.map((column) => scores?.HD95[column].mean ?? NaN).filter((value) => value > 0),
    ),
  );
  const rows = table.rows.map((row) => {
    const seen = circles(row.subset).map((circle) => `<td class="text">${circle}</td>`);
    const last = `<td>${countedText(row, table)}</td><td class="text" title="${escape(row.why)}">${escape(row.network ?? "none fits")}</td>`;
    return `<tr>${seen.join("")}${heatCells(row.scores, worst)}${last}</tr>`;
  });
  const mean = `<tr class="mean"><th colspan="4" scope="row">${meanName(table)}</th>${heatCells(table.mean, worst)}<td></td><td></td></tr>`;
  const titles = heads.map((head, i) => {
    const text = i < 4 || i === heads.length - 1 ? ' class="text"' : "";
    return `<th scope="col"${text}>${escape(head)}</th>`;
  });
  return `<div class="scroll"><table class="dense">
<thead><tr>${titles.join("")}</tr></thead>
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
      if (!score || Number.isNaN(score.mean)) return `<td>${texts[i]}</td>`;
      const strength = STRONGEST * Math.min(1, Math.max(0, score.mean / most));
      const { low, high } = score;
      const interval = Number.isNaN(low)
        ? ""
        : ` title="95 % interval ${low.toFixed(digits)} to ${high.toFixed(digits)}"`;
      const opacity = Number.isNaN(strength) ? 0 : strength.toFixed(2);
      return `<td style="background: rgb(${colour} / ${opacity})"${interval}>${texts[i]}</td>`;
    })
    .join("");
}

function plainTable([heads, ...rows]: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string) =>
    row.map((cell, i) => `<${tag}${i < 2 ? ' class="text"' : ""}>${escape(cell)}</${tag}>`).join("");
  const body = rows.map((row) => `<tr>${cells(row, "td")}</tr>`).join("\n");
  return `<div class="scroll"><table><thead><tr>${cells(heads!, "th")}</tr></thead><tbody>${body}</tbody></table></div>`;
}
