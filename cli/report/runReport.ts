// The report of a run: its stages' tables and curves, and slices of a few test cases with the label and every
// stage's prediction. It is made from the files of the stages alone, so it can be made again.

import { classifies } from "../../model/methods/index.ts";
import { networkModalities, stageTitle, type TrainConfig } from "../../trainer/settings/config.ts";
import { writeAtomically } from "../files/files.ts";
import { readWindows } from "./presenceSlices.ts";
import { renderReport } from "./report.ts";
import { translationsOf } from "./reportTranslations.ts";
import { readSlices, type Row } from "./runSlices.ts";
import { labelNotes, patientsOf, readStage, sharedSettings } from "./stageResults.ts";
import { formatScores, type ScoreRow } from "../terminal/table.ts";

const CASES = 3; // whose slices are shown

/** Writes a report of the given stages of one run to `path`; its settings are the last stage's. */
export async function writeReport(
  path: string,
  title: string,
  configs: readonly TrainConfig[],
  notes: string[] = [],
) {
  const stages = await Promise.all(configs.map(readStage));
  const last = configs.at(-1)!;
  const patients = await patientsOf(last);
  const found = stages.at(-1)!.presence;
  const windows = found ? await readWindows(last, found, CASES) : [];
  const page = renderReport({
    title,
    subtitle: `${stages.length} ${stages.length === 1 ? "stage" : "stages"}, patch ${last.patch.join("x")}, ${last.filters} filters`,
    stages,
    slices: segments(last) ? await readSlices(last, rowsOf(configs.filter(segments)), CASES) : windows,
    translated: await translationsOf(configs),
    configuration: sharedSettings([last]),
    notes: [...(patients ? [patients] : []), ...notes, ...(await labelNotes(configs))],
  });
  await writeAtomically(path, page);
}

/** Tells whether a stage's network segments. */
function segments({ stage, method }: TrainConfig): boolean {
  return stage !== "pretrain" && !classifies(method);
}

/** The stages' mean scores on the test cases, as text. */
export async function scoreTable(configs: readonly TrainConfig[]): Promise<string> {
  const stages = await Promise.all(configs.map(readStage));
  const rows = stages.flatMap(({ title, summary }): ScoreRow[] =>
    summary ? [{ name: title, scores: summary.mean }] : [],
  );
  return rows.length ? formatScores(rows, "on the test cases") : "no test cases: no scores";
}

/** A row of pictures per stage, on a contrast that the stage sees. */
function rowsOf(configs: readonly TrainConfig[]): Row[] {
  return configs.map((config) => ({
    about: `where the ${stageTitle(config)} differs most from the label`,
    sees: config.stage === "teacher" ? null : networkModalities(config),
    stages: [{ config, title: stageTitle(config) }],
  }));
}
