// progress.svg and progress.png: losses, validation Dice, seconds per epoch and learning rate of a stage,
// drawn while it trains, as nnU-Net users know it.

import type { EpochRecord } from "../../trainer/loop/records.ts";
import {
  type Chart,
  lossChart,
  observedCharts,
  progressDiceChart,
  rateChart,
  secondsChart,
} from "./charts.ts";
import { FONT } from "./rasterise.ts";
import { LIGHT_SERIES } from "./reportStyle.ts";
import { escape } from "./reportPage.ts";

const PANEL = { width: 360, height: 220, head: 44, gap: 16 }; // of a chart; `head` is above it
const MARGIN = 20;

/** One picture of all epochs so far, on a white ground; null before the first epoch. */
export function progressSvg(title: string, records: readonly EpochRecord[]): string | null {
  const last = records.at(-1);
  if (!last) return null;
  const usual = [lossChart, progressDiceChart, secondsChart, rateChart];
  const charts = [...usual.flatMap((draw) => draw(records) ?? []), ...observedCharts(records)];
  const [column, row] = [PANEL.width + PANEL.gap, PANEL.head + PANEL.height + PANEL.gap];
  const width = 2 * column - PANEL.gap + 2 * MARGIN;
  const top = MARGIN + 28;
  const height = top + Math.ceil(charts.length / 2) * row - PANEL.gap + MARGIN;
  const panels = charts.map((chart, i) => {
    const [x, y] = [MARGIN + (i % 2) * column, top + Math.floor(i / 2) * row];
    return `<g transform="translate(${x} ${y})">${panel(chart)}</g>`;
  });
  const head = `${title}: epoch ${last.epoch}, step ${last.step}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${FONT}, sans-serif" font-size="12" color="#1d1f21" fill="#1d1f21">
<rect width="${width}" height="${height}" fill="white"/>
<text x="${MARGIN}" y="${MARGIN + 10}" font-size="16">${escape(head)}</text>
${panels.join("\n")}
</svg>
`;
}

/** Title, legend and chart; the page's colours become fixed ones. */
function panel({ title, series, svg }: Chart): string {
  const colours = series.map((_, i) => LIGHT_SERIES[i % LIGHT_SERIES.length]!);
  let x = 0;
  const legend =
    series.length < 2
      ? []
      : series.map((name, i) => {
          const at = x;
          x += 24 + 6.6 * name.length; // a letter's approximate width
          return `<rect x="${at}" y="27" width="12" height="3" fill="${colours[i]}"/><text x="${at + 16}" y="32" font-size="11">${escape(name)}</text>`;
        });
  const fixed = svg
    .replace(/var\(--series-(\d+)\)/g, (_, n: string) => LIGHT_SERIES[Number(n) - 1]!)
    .replaceAll("inherit", `${FONT}, sans-serif`)
    .replaceAll("currentColor", "#1d1f21");
  return `<text y="14" font-size="13">${escape(title)}</text>${legend.join("")}<g transform="translate(0 ${PANEL.head})">${fixed}</g>`;
}
