// A forest plot as SVG text: differences with their intervals, a row each, and a band as wide as the smallest
// difference that could have been shown.

import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { largest } from "../../engine/values.ts";

export interface ForestRow {
  label: string;
  difference: number;
  low: number;
  high: number;
  /** The smallest difference that could have been shown. */
  detectable: number;
  /** A colour of the page, such as var(--series-1). */
  colour: string;
}

const ROW = 30; // height
const LETTER = 6.3; // width

/** The plot, or null without rows. Numbers and `unit` are those of the axis. */
export function forestChart(rows: readonly ForestRow[], unit: string): string | null {
  if (rows.length === 0) return null;
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const widest = largest(rows.map(({ label }) => label.length));
  const finite = rows.flatMap(({ low, high, detectable }) => [low, high, -detectable, detectable]);
  const reach = largest(finite.filter(Number.isFinite).map(Math.abs), 1e-6);
  const clamped = rows.map((row) => ({ ...row, band: Math.min(row.detectable, reach) }));
  const svg = Plot.plot({
    document,
    width: 780,
    height: 56 + ROW * rows.length,
    marginLeft: Math.min(400, 16 + LETTER * widest),
    marginRight: 16,
    marginTop: 8,
    marginBottom: 40,
    style: { background: "none", color: "inherit", fontFamily: "inherit", fontSize: "11px" },
    x: {
      domain: [-1.05 * reach, 1.05 * reach],
      label: unit,
      labelAnchor: "center",
      labelArrow: "none",
      ticks: 7,
    },
    y: { domain: rows.map(({ label }) => label), label: null, tickSize: 0, padding: 0.3 },
    marks: [
      Plot.barX(clamped, {
        y: "label",
        x1: ({ band }) => -band,
        x2: "band",
        fill: "currentColor",
        fillOpacity: 0.07,
      }),
      Plot.gridX({ ticks: 7, strokeOpacity: 0.12 }),
      Plot.ruleX([0], { strokeOpacity: 0.5 }),
      Plot.ruleY(rows, { y: "label", x1: "low", x2: "high", stroke: "colour", strokeWidth: 2 }),
      Plot.dot(rows, { y: "label", x: "difference", fill: "colour", r: 4.5 }),
    ],
  });
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Differences with 95 % intervals: ${unit}`);
  return svg.outerHTML;
}
