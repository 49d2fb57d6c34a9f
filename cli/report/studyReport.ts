// The page of a study, with its numbers as JSON and its tables as Markdown: made from the records of its arms
// alone.

import { join } from "node:path";
import { type Study, setName } from "../../trainer/experiments/study.ts";
import {
  type StudyComparison,
  studyResult,
  type StudyResult,
} from "../../trainer/experiments/studyResult.ts";
import type { Finished } from "../../trainer/experiments/studyRows.ts";
import { writeAtomically } from "../files/files.ts";
import { curvesChart } from "./charts.ts";
import { forestChart } from "./forestChart.ts";
import { count, escape, figuresOf, renderPage, timeText } from "./reportPage.ts";
import {
  comparisonName,
  comparisonsHtml,
  points,
  regionsHtml,
  scoresHtml,
  studyMarkdown,
  verdictLines,
  zeroText,
} from "./studyTable.ts";

/** The files of a study, in its folder. */
export const STUDY = { report: "study.html", json: "study.json", table: "study.md" } as const;

const FORMAT = "protokd study 1";

/** A study with its finished arms, and what is said about them. */
export interface StudyReport {
  study: Study;
  finished: readonly Finished[];
  /** The command that repeats it, without paths. */
  command: string;
  /** Sentences on arms that are missing. */
  notes: readonly string[];
}

/** Writes the page, the JSON and the Markdown into `folder`; returns the verdicts as text. */
export async function writeStudy(folder: string, report: StudyReport): Promise<string> {
  const { study, finished, command, notes } = report;
  const found = studyResult(finished);
  const result = { ...found, notes: [...notes, ...found.notes] };
  const title = `Study: ${study.name}`;
  const sections = [
    verdicts(result),
    forest(result.comparisons),
    zeroSection(result),
    scores(result),
    curves(result),
    method(report, result),
  ];
  await writeAtomically(join(folder, STUDY.report), renderPage(title, subtitle(report), sections));
  const json = { format: FORMAT, command, study, ...result };
  await writeAtomically(join(folder, STUDY.json), `${JSON.stringify(json, null, 2)}\n`);
  await writeAtomically(join(folder, STUDY.table), studyMarkdown(title, command, result));
  return [...verdictLines(result.comparisons), ...result.zero.map(zeroText)].join("\n");
}

function subtitle({ study, finished }: StudyReport): string {
  const { seeds, sets } = study;
  const seconds = finished.reduce((sum, { record }) => sum + record.seconds, 0);
  const data = sets.map((set) => setName(set, sets)).join(", ");
  return `${count(finished.length, "arm")}; ${count(seeds.length, "seed")} on ${data}; ${timeText(seconds)} of training`;
}

/** The verdicts in sentences, and the table of methods. */
function verdicts({ comparisons }: StudyResult): string {
  const own = comparisons.filter(({ family }) => family === "methods");
  if (!own.length)
    return "<section><h2>Do methods help?</h2><p>There is nothing to compare yet.</p></section>";
  const sentences = own.map((one) => `<li>${escape(sentence(one))}</li>`);
  return `<section><h2>Do methods help?</h2><ul>${sentences.join("\n")}</ul>
${comparisonsHtml(own)}
<p class="quiet">Differences are in points: hundredths of the mean Dice of WT, TC and ET. "Smallest shown" is the
smallest difference that a study of this design finds in 80 % of its repetitions.</p>
<details><summary>By region</summary>${regionsHtml(comparisons)}</details></section>`;
}

function sentence({ name, modality, mean, interval, verdict }: StudyComparison): string {
  const range = `${points(interval.low)} to ${points(interval.high)}`;
  return `${name}, ${modality}: ${verdict} (${points(mean)} points, 95 % interval ${range}).`;
}

/** The plots of both families. */
function forest(comparisons: readonly StudyComparison[]): string {
  const several = new Set(comparisons.map(({ modality }) => modality)).size > 1;
  const plot = (family: StudyComparison["family"], heading: string, about: string) => {
    const own = comparisons.filter((one) => one.family === family);
    const rows = own.map((one) => ({
      label: comparisonName(one) + (several ? ` (${one.modality})` : ""),
      difference: 100 * one.mean,
      low: 100 * one.interval.low,
      high: 100 * one.interval.high,
      detectable: 100 * one.detectable,
      colour: COLOURS[one.verdict] ?? "var(--series-7)",
    }));
    const svg = forestChart(rows, "difference in points of mean Dice, 95 % interval");
    const table = family === "controls" ? comparisonsHtml(own) : "";
    return svg === null ? "" : `<section><h2>${heading}</h2><p>${about}</p>${svg}${table}</section>`;
  };
  return [
    plot(
      "methods",
      "Differences from plain training",
      "Right of 0 the method is better than training on labels alone. Green helps, orange harms, grey cannot tell. A dot " +
        "within the grey band is a difference that this study was too small to show.",
    ),
    plot(
      "controls",
      "Controls: is it the teacher?",
      "With a shuffled, twin or untrained teacher a gain must vanish. The rows compare such a control with plain " +
        "training, and the method with its control.",
    ),
  ].join("\n");
}

const COLOURS: Readonly<Record<string, string>> = { helps: "var(--series-3)", harms: "var(--series-2)" };

function zeroSection({ zero }: StudyResult): string {
  if (!zero.length) return "";
  const lines = zero.map((check) => `<p${check.same ? "" : ' class="alarm"'}>${escape(zeroText(check))}</p>`);
  return `<section><h2>Weights of 0 change nothing</h2>${lines.join("\n")}</section>`;
}

function scores({ rows }: StudyResult): string {
  return `<section><h2>Scores and gradients</h2>${scoresHtml(rows)}
<p class="quiet">Mean Dice over test cases, then mean ± standard deviation over trainings. The last column is the norm of
each term's gradient at the logits, as a share of the whole loss's, mean of all validations: a term of a few percent
hardly moves a step.</p></section>`;
}

function curves({ rows }: StudyResult): string {
  const modalities = [...new Set(rows.map(({ modality }) => modality))];
  const charts = modalities.map((modality) => {
    const own = rows.filter((row) => row.modality === modality);
    return curvesChart(
      `Mean validation Dice, ${modality}`,
      own.map(({ name, validation }) => ({ title: name, points: validation })),
    );
  });
  const figures = figuresOf(charts);
  return figures && `<section><h2>Learning curves</h2>${figures}</section>`;
}

function method({ command, study }: StudyReport, { notes }: StudyResult): string {
  const lines = notes.map((note) => `<p>${escape(note)}</p>`).join("\n");
  return `<section><h2>How to read and repeat this</h2>${lines}
<pre>${escape(command)}</pre>
<details><summary>The study</summary><pre>${escape(JSON.stringify(study, null, 2))}</pre></details></section>`;
}
