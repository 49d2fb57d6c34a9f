// The report of a whole experiment, made from the stages' files alone: teacher and students of several
// modalities, methods and seeds in one table, with tests of their differences, curves, slices, time and
// memory.

import { join, relative } from "node:path";
import { largest } from "../../engine/values.ts";
import { ALL_SUBSETS, contrastsIn } from "../../data/datasets/subsets.ts";
import { experiment, type Experiment, type ExperimentRow } from "../../trainer/experiments/experiment.ts";
import { type Seeing, stageName, type TrainConfig } from "../../trainer/settings/config.ts";
import {
  comparisonsHtml,
  experimentCsv,
  experimentHtml,
  formatExperiment,
  modalityName,
} from "./experimentTable.ts";
import { writeAtomically } from "../files/files.ts";
import { scoreOf, stagesChart } from "./charts.ts";
import { presenceLines, type PresenceRow, presenceScores, rowScores } from "./experimentPresence.ts";
import { settings } from "./report.ts";
import { type Cost, costOf, costs, stageCurves, type ReportStage } from "./reportCurves.ts";
import { count, escape, figuresOf, renderPage } from "./reportPage.ts";
import { pictures, type ReportSlice } from "./reportSlices.ts";
import { readSlices, type Row } from "./runSlices.ts";
import { labelNotes, patientsOf, readStage, sharedSettings } from "./stageResults.ts";
import { conventionWords } from "../terminal/table.ts";
import { METHODS, titleOf } from "../../model/methods/index.ts";
import { CONVENTIONS } from "../../model/scoring/conventions.ts";

/** The files of an experiment, in the folder that holds its stages or the folders of its seeds. */
export const EXPERIMENT = { report: "report.html", json: "experiment.json", csv: "experiment.csv" } as const;

const CASES = 2; // whose slices are shown
const FORMAT = "protokd experiment 1";
const METHOD_ORDER = ["teacher", ...Object.keys(METHODS)];

/** A stage of the experiment with its results. */
interface Run extends ReportStage {
  config: TrainConfig;
  method: string;
}

/**
 * Writes the report, the numbers (experiment.json) and the table (experiment.csv) of finished stages into
 * `folder`; returns the table as text. Stages of one modality and method that differ in their seed (or fold)
 * share a row.
 */
export async function writeExperiment(
  folder: string,
  configs: readonly TrainConfig[],
  given: readonly string[] = [],
): Promise<string> {
  const patients = await patientsOf(configs[0]!);
  const notes = [...(patients ? [patients] : []), ...given, ...(await labelNotes(configs))];
  const runs: Run[] = [];
  for (const config of [...configs].sort(byOrder)) runs.push(await readRun(folder, config));
  const scored = runs.flatMap(({ config, method, summary }) =>
    summary ? [{ method, ...seeing(config), seed: config.seed, summary }] : [],
  );
  const result = scored.length ? experiment(scored) : null;
  const shared = sharedSettings(configs);
  const title = "ProtoKD: all stages";
  const classified = presenceRows(runs);
  const sections = [
    scores(result, notes),
    ...(classified.length ? [presenceScores(classified)] : []),
    pictures(await slices(runs)),
    training(runs),
    costs(runs),
    settings(shared),
  ];
  await writeAtomically(join(folder, EXPERIMENT.report), renderPage(title, subtitle(runs), sections));
  const detail = { format: FORMAT, ...result, notes: [...(result?.notes ?? []), ...notes], settings: shared };
  const stages = runs.map((run) => ({
    ...identity(run),
    folder: run.folder,
    ...costOf(run),
    mean: run.summary?.mean,
    presence: run.presence && { AUC: run.presence.AUC, averagePrecision: run.presence.averagePrecision },
  }));
  await writeAtomically(join(folder, EXPERIMENT.json), `${JSON.stringify({ ...detail, stages }, null, 2)}\n`);
  const presence = classified.length ? presenceLines(classified) : null;
  if (!result) return presence ?? "no test cases: no scores";
  const rowCosts = result.rows.map((row) => meanCost(runs.filter((run) => isOf(run, row))));
  await writeAtomically(join(folder, EXPERIMENT.csv), experimentCsv(result, rowCosts));
  const table = formatExperiment({ ...result, notes: detail.notes });
  return presence === null ? table : `${table}\n\n${presence}`;
}

async function readRun(folder: string, config: TrainConfig): Promise<Run> {
  const stage = await readStage(config);
  const method = config.stage === "teacher" ? "teacher" : config.method;
  return { ...stage, config, method, folder: relative(folder, join(config.out, stageName(config))) };
}

/** Orders the teacher first, then students by modality and method as in METHODS, then by seed. */
function byOrder(a: TrainConfig, b: TrainConfig): number {
  const place = ({ stage, modality, method, seed }: TrainConfig): [number, number, number] => [
    modality === null ? -1 : ALL_SUBSETS.indexOf(modality),
    METHOD_ORDER.indexOf(stage === "teacher" ? "teacher" : method),
    seed,
  ];
  const [one, other] = [place(a), place(b)];
  return one.map((value, i) => value - other[i]!).find((difference) => difference !== 0) ?? 0;
}

function isOf({ config, method }: Run, row: Pick<ExperimentRow, "method" | "modality">): boolean {
  return method === row.method && config.modality === row.modality;
}

/** The rows of the networks that classify: each modality and method, over its seeds. */
function presenceRows(runs: readonly Run[]): PresenceRow[] {
  const found = runs.flatMap((run) => (run.presence ? [{ ...run, presence: run.presence }] : []));
  const rows = new Map<string, typeof found>();
  for (const run of found) {
    const key = `${run.config.modality} ${run.method}`;
    rows.set(key, [...(rows.get(key) ?? []), run]);
  }
  return [...rows.values()].map((same) => ({
    modality: modalityName(same[0]!.config),
    method: titleOf(same[0]!.method),
    ...rowScores(same.map(({ presence }) => presence)),
  }));
}

function identity({ config, method }: Run) {
  return { method, ...seeing(config), seed: config.seed };
}

function seeing({ modality, teacherModality }: TrainConfig): Seeing {
  return { modality, teacherModality };
}

function subtitle(runs: readonly Run[]): string {
  const seeds = new Set(runs.map(({ config }) => config.seed)).size;
  const modalities = new Set(runs.flatMap(({ config }) => config.modality ?? [])).size;
  const { patch, filters } = runs[0]!.config;
  const size = `patch ${patch.join("x")}, ${filters} filters`;
  return `${count(runs.length, "stage")}: a teacher and students of ${count(modalities, "modality", "modalities")}, ${count(seeds, "seed")}; ${size}`;
}

function scores(result: Experiment | null, notes: readonly string[]): string {
  const paragraph = (text: string) => `<p>${escape(text)}</p>`;
  if (!result)
    return `<section><h2>Scores</h2>${["No test cases: no scores.", ...notes].map(paragraph).join("")}</section>`;
  const { rows, comparisons, convention } = result;
  const cases = largest(rows.map((row) => row.cases));
  const [method, ...more] = new Set(comparisons.map((comparison) => comparison.method));
  const question = more.length
    ? "Do the methods differ from their baselines?"
    : `Does ${titleOf(method ?? "")} differ from its baselines?`;
  const compared = comparisons.length ? `<h3>${escape(question)}</h3>${comparisonsHtml(comparisons)}` : "";
  return `<section><h2>Scores on ${count(cases, "test case")}</h2>
${experimentHtml(rows)}
<p>Dice is 1 if prediction and label are the same and 0 if they do not overlap. HD95 is the distance of their surfaces
in mm: less is better.</p>
${compared}${[...notes, ...result.notes].map(paragraph).join("")}
<p class="quiet">${escape(`Empty regions are scored by the convention "${convention}": ${conventionWords(CONVENTIONS[convention])}.`)}</p></section>`;
}

/** The section of curves: per modality the validation of all methods in one chart, then each stage's own. */
function training(runs: readonly Run[]): string {
  const seed = runs[0]!.config.seed;
  const together = modalitiesOf(runs).flatMap((modality) => {
    const lines = runs.filter(({ config }) => config.modality === modality && config.seed === seed);
    return [...new Set(lines.map(({ metrics }) => scoreOf(metrics)))].map((score) => {
      const same = lines.filter(({ metrics }) => scoreOf(metrics) === score);
      const chart = stagesChart(same.map((run) => ({ title: titleOf(run.method), metrics: run.metrics })));
      return chart && { ...chart, title: `Mean validation ${score}, ${modalityName(lines[0]!.config)}` };
    });
  });
  const each = runs.map((run) => {
    const name = `${run.title}, seed ${run.config.seed}`;
    return `<details><summary>${escape(name)}</summary>${stageCurves(run)}</details>`;
  });
  return `<section><h2>Training</h2><p class="quiet">Charts of seed ${seed}; every stage below.</p>
${figuresOf(together)}${each.join("\n")}</section>`;
}

/** A row of pictures per modality: predictions of the first seed, where they differ most from the label. */
async function slices(runs: readonly Run[]): Promise<ReportSlice[]> {
  const seed = runs[0]!.config.seed;
  const rows = modalitiesOf(runs).map((modality): Row => ({
    about: `${modality ?? "the teacher"}: where predictions differ most from the label`,
    sees: modality === null ? null : contrastsIn(modality),
    stages: runs
      .filter(({ config }) => config.modality === modality && config.seed === seed)
      .map(({ config, method }) => ({
        config,
        title: modality === null ? "teacher" : `${modality}, ${titleOf(method)}`,
      })),
  }));
  return readSlices(runs[0]!.config, rows, CASES);
}

function modalitiesOf(runs: readonly Run[]): TrainConfig["modality"][] {
  return [...new Set(runs.map(({ config }) => config.modality))];
}

/** The mean cost of a row's stages; for memory the maximum. */
function meanCost(runs: readonly Run[]): Cost | null {
  const all = runs.map(costOf);
  if (all.length === 0) return null;
  const mean = (of: (cost: Cost) => number) => all.reduce((sum, cost) => sum + of(cost), 0) / all.length;
  const known = (key: "perStep" | "gpuBytes") => all.flatMap((cost) => cost[key] ?? []);
  const [rates, bytes] = [known("perStep"), known("gpuBytes")];
  return {
    ...all[0]!,
    seconds: mean(({ seconds }) => seconds),
    perStep: rates.length ? rates.reduce((a, b) => a + b, 0) / rates.length : null,
    gpuBytes: bytes.length ? largest(bytes) : null,
  };
}
