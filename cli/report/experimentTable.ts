// The table of an experiment as text, CSV and HTML: a row per modality and method, with mean and deviation
// over seeds of Dice and HD95; and the comparisons of methods.

import { append, largest } from "../../engine/values.ts";
import {
  COLUMNS,
  type Comparison,
  type Experiment,
  type ExperimentRow,
  type Measure,
  MEASURES,
} from "../../trainer/experiments/experiment.ts";
import { isAny } from "../../data/datasets/subsets.ts";
import { titleOf } from "../../model/methods/index.ts";
import type { Spread } from "../../model/scoring/statistics.ts";
import { csv } from "../files/csv.ts";
import { type Cost } from "./reportCurves.ts";
import { cellClass, escape } from "./reportPage.ts";
import { formatScore } from "../terminal/table.ts";

const DIGITS: Readonly<Record<Measure, number>> = { Dice: 3, HD95: 1 };
const UNITS: Readonly<Record<Measure, string>> = { Dice: "Dice", HD95: "HD95 (mm)" };

/** The input of a row's networks. */
export function modalityName(row: Pick<ExperimentRow, "modality" | "teacherModality">): string {
  if (isAny(row.modality)) return `${row.modality}, all there`;
  return row.modality ?? row.teacherModality ?? "all four";
}

/** The table and the comparisons for a terminal. */
export function formatExperiment({ rows, comparisons, notes }: Experiment): string {
  const head = ["modality", "method"];
  const scores = rows.map(({ scores: of }) =>
    MEASURES.flatMap((measure) => COLUMNS.map((column) => spreadText(of[measure][column], measure))),
  );
  const heads = MEASURES.flatMap((measure) =>
    COLUMNS.map((column, i) => (i === 0 ? `${UNITS[measure]} ${column}` : column)),
  );
  const lines = grid(
    [...head, ...heads],
    rows.map((row, i) => [modalityName(row), titleOf(row.method), ...scores[i]!]),
    head.length,
  );
  if (comparisons.length) {
    const cells = comparisons.map((comparison) => {
      const { modality, cases, p, holm } = comparison;
      const { difference, interval } = comparisonText(comparison);
      const measure = `${UNITS[comparison.measure]}, mean`;
      return [
        modality,
        pairText(comparison),
        measure,
        difference,
        interval,
        `${cases}`,
        pText(p),
        pText(holm),
      ];
    });
    const titles = ["modality", "difference", "of", "mean", "95 % interval", "cases", "p", "p (Holm)"];
    append(lines, ["", ...grid(titles, cells, 3)]);
  }
  return [...lines, "", ...notes.map((note) => `* ${note}`)].join("\n");
}

/** The table as CSV, a row per modality and method; undefined values give empty cells. */
export function experimentCsv({ rows }: Experiment, costs: readonly (Cost | null)[]): string {
  const scored = MEASURES.flatMap((measure) =>
    COLUMNS.flatMap((column) => [`${measure}_${column}`, `${measure}_${column}_sd`]),
  );
  const head = [
    "modality",
    "method",
    "seeds",
    "cases",
    ...scored,
    ...MEASURES.flatMap((measure) => [`${measure}_mean_low`, `${measure}_mean_high`]),
    "parameters",
    "epochs",
    "steps",
    "seconds_per_step",
    "seconds",
    "gpu_bytes",
  ];
  const lines = rows.map((row, i) => {
    const { method, seeds, cases, scores, interval } = row;
    const cost = costs[i];
    return [
      modalityName(row),
      method,
      seeds.join(" "),
      cases,
      ...MEASURES.flatMap((measure) =>
        COLUMNS.flatMap((column) => [scores[measure][column].mean, scores[measure][column].deviation]),
      ),
      ...MEASURES.flatMap((measure) => [interval[measure].low, interval[measure].high]),
      cost?.parameters,
      cost?.epochs,
      cost?.steps,
      cost?.perStep,
      cost?.seconds,
      cost?.gpuBytes,
    ];
  });
  return csv([head, ...lines]);
}

/** The table of scores as HTML. */
export function experimentHtml(rows: readonly ExperimentRow[]): string {
  const heads = MEASURES.map(() =>
    COLUMNS.map((column, i) => `<th class="${cellClass(i)}" scope="col">${column}</th>`),
  );
  const body = rows.map((row, i) => {
    const { method, scores } = row;
    const first = rows[i - 1]?.modality === row.modality ? "" : modalityName(row);
    const cells = MEASURES.map((measure) =>
      COLUMNS.map((column, c) => {
        const { mean, deviation } = scores[measure][column];
        const spread = Number.isNaN(deviation)
          ? ""
          : ` <span class="quiet">±${formatScore(deviation, DIGITS[measure])}</span>`;
        return `<td class="${cellClass(c)}">${formatScore(mean, DIGITS[measure])}${spread}</td>`;
      }).join(""),
    );
    return `<tr><th scope="row">${escape(first)}</th><td class="text">${escape(titleOf(method))}</td>${cells.join("")}</tr>`;
  });
  return `<div class="scroll"><table class="dense">
<thead>
<tr><th></th><th></th>${MEASURES.map((measure) => `<th colspan="4" scope="colgroup">${UNITS[measure]}</th>`).join("")}</tr>
<tr><th scope="col">modality</th><th class="text" scope="col">method</th>${heads.flat().join("")}</tr>
</thead>
<tbody>${body.join("\n")}</tbody></table></div>`;
}

/** The comparisons as HTML. */
export function comparisonsHtml(comparisons: readonly Comparison[]): string {
  const heads = ["modality", "difference", "of", "mean", "95 % interval", "cases", "p", "p (Holm)"];
  const body = comparisons.map((comparison) => {
    const { difference, interval } = comparisonText(comparison);
    const words = [pairText(comparison), `${UNITS[comparison.measure]}, mean of regions`];
    const numbers = [difference, interval, comparison.cases, pText(comparison.p), pText(comparison.holm)];
    const cells = [
      ...words.map((cell) => `<td class="text">${escape(cell)}</td>`),
      ...numbers.map((cell) => `<td>${cell}</td>`),
    ];
    return `<tr><th scope="row">${escape(comparison.modality)}</th>${cells.join("")}</tr>`;
  });
  const titles = heads.map((title, i) => `<th scope="col"${i < 3 ? ' class="text"' : ""}>${title}</th>`);
  return `<div class="scroll"><table>
<thead><tr>${titles.join("")}</tr></thead>
<tbody>${body.join("\n")}</tbody></table></div>`;
}

/** The difference that a comparison tests: "ProtoKD - alone". */
function pairText({ method, against }: Comparison): string {
  return `${titleOf(method)} - ${titleOf(against)}`;
}

function comparisonText({ difference, interval, measure }: Comparison): {
  difference: string;
  interval: string;
} {
  const signed = (value: number): string => {
    const text = formatScore(Math.abs(value), DIGITS[measure]);
    return Number(text) === 0 ? text : `${value > 0 ? "+" : "-"}${text}`;
  };
  const { low, high } = interval;
  return {
    difference: signed(difference),
    interval: Number.isNaN(low) ? "-" : `${signed(low)} to ${signed(high)}`,
  };
}

function spreadText({ mean, deviation }: Spread, measure: Measure): string {
  const text = formatScore(mean, DIGITS[measure]);
  return Number.isNaN(deviation) ? text : `${text} ±${formatScore(deviation, DIGITS[measure])}`;
}

function pText(p: number): string {
  return p < 1e-3 ? p.toExponential(0) : p.toFixed(3);
}

/** Lines of a table; the first `left` columns are aligned left, the others right. */
function grid(head: readonly string[], rows: readonly (readonly string[])[], left: number): string[] {
  const lines = [head, ...rows];
  const wide = head.map((_, c) => largest(lines.map((row) => row[c]!.length)));
  return lines.map((row) =>
    row
      .map((cell, c) => (c < left ? cell.padEnd(wide[c]!) : cell.padStart(wide[c]!)))
      .join("  ")
      .trimEnd(),
  );
}
