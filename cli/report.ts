// report.html: what a run gave, on one page that needs nothing but itself. Style, charts (SVG) and slices
// (PNG) are inline, and the page's policy forbids it to load anything. All text goes through `escape`.

import type { EpochRecord } from "../model/records.ts";
import { REGION_NAMES, type Vec3 } from "../model/regions.ts";
import type { RegionScores, Summary } from "../model/summary.ts";
import { type Chart, lossChart, rateChart, stagesChart, validationChart } from "./charts.ts";
import { reportStyle } from "./reportStyle.ts";
import { CLASS_COLOURS, headWindow, pngDataUri, renderSlice } from "./slices.ts";
import { conventionNote, formatScore, meanScore } from "./table.ts";

/** One stage of a run: a teacher, a student. */
export interface ReportStage {
  title: string;
  folder: string;
  /** The lines of its metrics.jsonl. */
  metrics: readonly EpochRecord[];
  /** Its scores on the test cases. */
  summary?: Summary;
}

/** One case seen side by side: the scan, its label, the predictions. */
export interface ReportSlice {
  case: string;
  /** `grey` [D,H,W] of any intensities; `labels` [D,H,W] of network classes, drawn over it. */
  images: { title: string; size: Vec3; grey: Float32Array; labels?: Uint8Array }[];
  plane: "axial";
  /** Position along D. */
  index: number;
}

/** All that a report shows. */
export interface Report {
  title: string;
  subtitle?: string;
  stages: readonly ReportStage[];
  slices: readonly ReportSlice[];
  configuration: Record<string, unknown>;
  /** Sentences shown under the table. */
  notes?: readonly string[];
}

/** The page may show what is in it and load nothing. */
const policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/** The page as text; sections without content are left out. */
export function renderReport({ title, subtitle, stages, slices, configuration, notes = [] }: Report): string {
  const sections = [scores(stages, notes), pictures(slices), curves(stages), settings(configuration)];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${reportStyle}</style>
</head>
<body>
<header><h1>${escape(title)}</h1>${subtitle === undefined ? "" : `<p>${escape(subtitle)}</p>`}</header>
<main>
${sections.filter((section) => section !== "").join("\n")}
</main>
</body>
</html>
`;
}

function scores(stages: readonly ReportStage[], notes: readonly string[]): string {
  const scored = stages.flatMap((stage) => (stage.summary ? [{ ...stage, summary: stage.summary }] : []));
  const said = notes.map((note) => `<p>${escape(note)}</p>`).join("");
  if (scored.length === 0) return said;
  const conventions = new Map<string, string[]>(); // most often all stages have one note in common
  for (const { title, summary } of scored) {
    const note = conventionNote(summary);
    if (note !== null) conventions.set(note, [...(conventions.get(note) ?? []), title]);
  }
  const conventionsSaid = [...conventions].map(
    ([note, titles]) => `<p class="quiet">${escape(`${titles.join(", ")}: ${note}.`)}</p>`,
  );
  const cases = scored[0]!.summary.metric_per_case.map((row) => row.case);
  const perCase = cases.flatMap((id) =>
    scored.flatMap(({ title, summary }) => {
      const row = summary.metric_per_case.find((other) => other.case === id);
      return row ? [{ name: `${id}, ${title}`, scores: row.metrics }] : [];
    }),
  );
  return `<section><h2>Scores on ${count(cases.length, "test case")}</h2>
${scoreTable(
  "stage",
  scored.map(({ title, summary }) => ({ name: title, scores: summary.mean })),
)}
<p>Dice is twice the overlap of prediction and label divided by the sum of their volumes: 1 is perfect, 0 is
no overlap. HD95 is how far apart their surfaces are, in mm: 95 % of surface voxels lie no farther than this
from the other surface, so less is better.</p>
<p class="quiet">WT whole tumour, TC tumour core (enhancing and necrotic), ET enhancing tumour; means over the
cases.</p>
${said}${conventionsSaid.join("\n")}
<details><summary>Each case</summary>${scoreTable("case and stage", perCase)}</details></section>`;
}

function scoreTable(heading: string, rows: readonly { name: string; scores: RegionScores }[]): string {
  const columns = [...REGION_NAMES, "mean"];
  const heads = columns.map((name, i) => `<th class="${cellClass(i)}" scope="col">${name}</th>`).join("");
  const body = rows.map(({ name, scores: of }) => {
    const cells = (key: "Dice" | "HD95", digits: number): string => {
      const values = REGION_NAMES.map((region) => of[region][key]);
      const all = [...values, meanScore(values)].map((value) => formatScore(value, digits));
      return all.map((value, i) => `<td class="${cellClass(i)}">${value}</td>`).join("");
    };
    return `<tr><th scope="row">${escape(name)}</th>${cells("Dice", 3)}${cells("HD95", 1)}</tr>`;
  });
  return `<div class="scroll"><table>
<thead>
<tr><th></th><th colspan="4" scope="colgroup">Dice</th><th colspan="4" scope="colgroup">HD95 (mm)</th></tr>
<tr><th scope="col">${heading}</th>${heads}${heads}</tr>
</thead>
<tbody>${body.join("\n")}</tbody></table></div>`;
}

function pictures(slices: readonly ReportSlice[]): string {
  if (slices.length === 0) return "";
  const colours = CLASS_COLOURS.map(({ name, rgb }) => ({ name, colour: `rgb(${rgb.join(",")})` }));
  const rows = slices.map(({ case: name, images, index, plane }) => {
    const first = images[0];
    const window = first && headWindow(first, index);
    const figures = images.map((image) => {
      const source = window && pngDataUri(renderSlice(image, index, window));
      const words = escape(`${image.title}, ${name}`);
      const caption = `<figcaption>${escape(image.title)}</figcaption>`;
      return `<figure><img src="${source}" alt="${words}">${caption}</figure>`;
    });
    const place = `${plane} slice ${index + 1} of ${first?.size[0]}`;
    return `<h3>${escape(name)} <span class="quiet">${place}</span></h3>
<div class="scroll"><div class="slices">${figures.join("")}</div></div>`;
  });
  return `<section><h2>Slices</h2>${legend(colours)}${rows.join("\n")}</section>`;
}

function curves(stages: readonly ReportStage[]): string {
  const run = stages.filter(({ metrics }) => metrics.length > 0);
  if (run.length === 0) return "";
  const together = run.length > 1 ? [stagesChart(run)] : [];
  const parts = run.map((stage) => {
    const { metrics } = stage;
    const charts = [lossChart(metrics), validationChart(metrics), rateChart(metrics)];
    return `<h3>${escape(stage.title)}</h3><p class="quiet">${escape(facts(stage))}</p>${figuresOf(charts)}`;
  });
  return `<section><h2>Training</h2>${figuresOf(together)}${parts.join("\n")}</section>`;
}

function figuresOf(charts: readonly (Chart | null)[]): string {
  const figures = charts.flatMap((chart) => {
    if (chart === null) return [];
    const lines = chart.series.map((name, i) => ({ name, colour: `var(--series-${(i % 7) + 1})` }));
    const names = lines.length > 1 ? legend(lines, "legend lines") : "";
    return [`<figure><figcaption>${escape(chart.title)}</figcaption>${names}${chart.svg}</figure>`];
  });
  return figures.length > 0 ? `<div class="charts">${figures.join("\n")}</div>` : "";
}

/** One line on how long a stage took and where it was best. */
function facts({ metrics, folder }: ReportStage): string {
  const seconds = metrics.reduce((sum, record) => sum + record.seconds, 0);
  const validated = metrics.flatMap(({ epoch, validation }) =>
    validation ? [{ epoch, mean: validation.mean }] : [],
  );
  const best = validated.sort((a, b) => b.mean - a.mean)[0];
  return [
    `${count(metrics.length, "epoch")}, ${count(metrics.at(-1)?.step ?? 0, "step")}, ${duration(seconds)}`,
    ...(best ? [`best mean validation Dice ${best.mean.toFixed(3)} in epoch ${best.epoch}`] : []),
    `folder ${folder}`,
  ].join("; ");
}

function settings(configuration: Record<string, unknown>): string {
  if (Object.keys(configuration).length === 0) return "";
  const text = escape(JSON.stringify(configuration, null, 2));
  return `<section><h2>Configuration</h2>
<details><summary>All settings of this run</summary><pre>${text}</pre></details></section>`;
}

function legend(entries: readonly { name: string; colour: string }[], style = "legend"): string {
  const items = entries.map(
    ({ name, colour }) => `<li><i style="background:${colour}"></i>${escape(name)}</li>`,
  );
  return `<ul class="${style}">${items.join("")}</ul>`;
}

function cellClass(column: number): string {
  return ["group", "", "", "mean"][column]!;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(1)} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** Text made safe in HTML's content and in quoted attributes. */
export function escape(text: string): string {
  const names: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => names[character]!);
}
