// The report's curves of each stage, and the stages' time and memory.

import type { CommonGrid } from "../../data/preparation/input.ts";
import { bytesText } from "../../engine/gpu/errors.ts";
import { largest } from "../../engine/values.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { quantile } from "../../model/scoring/statistics.ts";
import type { Summary } from "../../model/scoring/summary.ts";
import type { StagePresence } from "../prediction/presenceFiles.ts";
import { lossChart, observedCharts, rateChart, scoreOf, stagesChart, validationChart } from "./charts.ts";
import { count, escape, figuresOf, timeText } from "./reportPage.ts";

/** One stage of a run: a teacher, a student. */
export interface ReportStage {
  title: string;
  folder: string;
  /** The lines of its metrics.jsonl. */
  metrics: readonly EpochRecord[];
  /** Its scores on the test cases. */
  summary?: Summary;
  /** Those of a network that classifies. */
  presence?: StagePresence;
  /** The number of trained parameters. */
  parameters?: number;
  /** The grid of its training cases. */
  grid?: CommonGrid;
}

/** The section of curves. */
export function curves(stages: readonly ReportStage[]): string {
  const run = stages.filter(({ metrics }) => metrics.length > 0);
  if (run.length === 0) return "";
  const together = run.length > 1 ? [stagesChart(run)] : [];
  const parts = run.map((stage) => `<h3>${escape(stage.title)}</h3>${stageCurves(stage)}`);
  return `<section><h2>Training</h2>${figuresOf(together)}${parts.join("\n")}</section>`;
}

/** One stage's curves, and a line on its time and its best epoch. */
export function stageCurves(stage: ReportStage): string {
  const { metrics } = stage;
  const charts = [
    lossChart(metrics),
    validationChart(metrics),
    rateChart(metrics),
    ...observedCharts(metrics),
  ];
  return `<p class="quiet">${escape(facts(stage))}</p>${figuresOf(charts)}`;
}

/** The epoch with the highest mean score in validation, the first of equals; null without a validation. */
export function bestValidation(metrics: readonly EpochRecord[]): { epoch: number; mean: number } | null {
  const validated = metrics.flatMap(({ epoch, validation }) =>
    validation ? [{ epoch, mean: validation.mean }] : [],
  );
  return validated.sort((a, b) => b.mean - a.mean)[0] ?? null;
}

function facts(stage: ReportStage): string {
  const { epochs, steps, seconds } = costOf(stage);
  const best = bestValidation(stage.metrics);
  return [
    `${count(epochs, "epoch")}, ${count(steps, "step")}, ${timeText(seconds)}`,
    ...(best
      ? [`best mean validation ${scoreOf(stage.metrics)} ${best.mean.toFixed(3)} in epoch ${best.epoch}`]
      : []),
    `folder ${stage.folder}`,
  ].join("; ");
}

/** The section of each stage's time and memory. */
export function costs(stages: readonly ReportStage[]): string {
  const run = stages.filter(({ metrics }) => metrics.length > 0);
  if (run.length === 0) return "";
  const heads = ["parameters", "epochs", "steps", "s per step", "total time", "GPU memory"];
  const rows = run.map((stage) => {
    const { parameters, epochs, steps, perStep, seconds, gpuBytes } = costOf(stage);
    const cells = [
      parameters?.toLocaleString("en"),
      epochs,
      steps,
      perStep === null ? undefined : Number(perStep.toPrecision(3)),
      timeText(seconds),
      gpuBytes === null ? undefined : bytesText(gpuBytes),
    ].map((cell) => `<td>${cell ?? "-"}</td>`);
    return `<tr><th scope="row">${escape(stage.title)}</th>${cells.join("")}</tr>`;
  });
  return `<section><h2>Time and memory</h2>
<div class="scroll"><table>
<thead><tr><th scope="col">stage</th>${heads.map((name) => `<th scope="col">${name}</th>`).join("")}</tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div>
<p class="quiet">Seconds per step are the median over epochs, if possible over those without validation; the total time
includes validation. GPU memory is the most that tensors took at once.</p></section>`;
}

/** A stage's time and memory; null if its records do not have it. */
export interface Cost {
  parameters: number | null;
  epochs: number;
  steps: number;
  /** Seconds per step: the median over epochs, if possible over those without validation. */
  perStep: number | null;
  seconds: number;
  gpuBytes: number | null;
}

/** A stage's time and memory, from its records. */
export function costOf({
  metrics,
  parameters = null,
}: Pick<ReportStage, "metrics"> & { parameters?: number | null }): Cost {
  const epochs = metrics.map((record, i) => ({
    ...record,
    steps: record.step - (metrics[i - 1]?.step ?? 0),
  }));
  const plain = epochs.filter(({ validation, steps }) => !validation && steps > 0);
  const rates = (plain.length ? plain : epochs.filter(({ steps }) => steps > 0))
    .map(({ seconds, steps }) => seconds / steps)
    .sort((a, b) => a - b);
  const memory = metrics.flatMap(({ gpuBytes }) => gpuBytes ?? []);
  return {
    parameters,
    epochs: metrics.length,
    steps: metrics.at(-1)?.step ?? 0,
    perStep: rates.length ? quantile(rates, 0.5) : null,
    seconds: metrics.reduce((sum, { seconds }) => sum + seconds, 0),
    gpuBytes: memory.length ? largest(memory) : null,
  };
}
