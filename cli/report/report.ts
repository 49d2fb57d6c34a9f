// report.html: the results of a run on one self-contained page.

import { REGION_NAMES } from "../../model/scoring/regions.ts";
import type { RegionScores } from "../../model/scoring/summary.ts";
import { presenceSection } from "./presenceReport.ts";
import { costs, curves, type ReportStage } from "./reportCurves.ts";
import { cellClass, count, escape, renderPage } from "./reportPage.ts";
import { pictures, type ReportSlice } from "./reportSlices.ts";
import { type ReportTranslations, translations } from "./reportTranslations.ts";
import { conventionNote, formatScore, meanScore } from "../terminal/table.ts";

/** The content of a report. */
export interface Report {
  title: string;
  subtitle?: string;
  stages: readonly ReportStage[];
  slices: readonly ReportSlice[];
  /** The translations of test cases into other contrasts, if a stage has some. */
  translated?: readonly ReportTranslations[];
  configuration: Record<string, unknown>;
  /** Sentences shown under the table. */
  notes?: readonly string[];
}

/** The page as HTML; sections without content do not appear. */
export function renderReport(report: Report): string {
  const { title, subtitle, stages, slices, translated = [], configuration, notes = [] } = report;
  const parts = [
    scores(stages, notes),
    presenceSection(stages),
    translations(translated),
    pictures(slices),
    curves(stages),
    costs(stages),
    settings(configuration),
  ];
  return renderPage(title, subtitle, parts);
}

function scores(stages: readonly ReportStage[], notes: readonly string[]): string {
  const scored = stages.flatMap((stage) => (stage.summary ? [{ ...stage, summary: stage.summary }] : []));
  const paragraphs = notes.map((note) => `<p>${escape(note)}</p>`).join("");
  if (scored.length === 0) return paragraphs;
  const conventions = new Map<string, string[]>(); // notes and their stages: most often all share one note
  for (const { title, summary } of scored) {
    const note = conventionNote(summary);
    if (note !== null) conventions.set(note, [...(conventions.get(note) ?? []), title]);
  }
  const conventionNotes = [...conventions].map(
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
no overlap. HD95 is the distance of their surfaces in mm: 95 % of surface voxels are no farther than this from the
other surface, so less is better.</p>
<p class="quiet">WT whole tumour, TC tumour core (enhancing and necrotic), ET enhancing tumour; means over the
cases.</p>
${paragraphs}${conventionNotes.join("\n")}
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

/** The section of all settings. */
export function settings(configuration: Record<string, unknown>): string {
  if (Object.keys(configuration).length === 0) return "";
  const text = escape(JSON.stringify(configuration, null, 2));
  return `<section><h2>Configuration</h2>
<details><summary>All settings of this run</summary><pre>${text}</pre></details></section>`;
}
