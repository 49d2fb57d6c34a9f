// The table of an experiment's networks that classify: AUC and average precision, the mean over seeds.

import { largest } from "../../engine/values.ts";
import { spread, type Spread } from "../../model/scoring/statistics.ts";
import { formatScore } from "../terminal/table.ts";
import { COLUMNS, presenceTable } from "./presenceReport.ts";
import { type StagePresence, unjudged } from "../prediction/presenceFiles.ts";
import { escape } from "./reportPage.ts";

const SCORES = { AUC: "AUC", averagePrecision: "average precision" } as const;
type Score = keyof typeof SCORES;
const NAMES = Object.keys(SCORES) as Score[];

/** One method's classifiers of the same contrasts. */
export interface PresenceRow {
  modality: string;
  method: string;
  /** Mean and deviation over seeds, in the order of COLUMNS. */
  scores: Record<Score, readonly Spread[]>;
  /** Which scores mean nothing, and why. */
  notes: readonly string[];
}

/** The scores of a row, from its seeds' results. */
export function rowScores(seeds: readonly StagePresence[]): Pick<PresenceRow, "scores" | "notes"> {
  const of = (score: Score) => COLUMNS.map((column) => spread(seeds.map((seed) => seed[score][column])));
  return {
    scores: { AUC: of("AUC"), averagePrecision: of("averagePrecision") },
    notes: [...new Set(seeds.flatMap(unjudged))],
  };
}

/** The table for a terminal. */
export function presenceLines(rows: readonly PresenceRow[]): string {
  const heads = NAMES.flatMap((name) =>
    COLUMNS.map((column, i) => (i === 0 ? `${SCORES[name]} ${column}` : column)),
  );
  const lines = [
    ["modality", "method", ...heads],
    ...rows.map((row) => [row.modality, row.method, ...NAMES.flatMap((name) => row.scores[name].map(text))]),
  ];
  const wide = lines[0]!.map((_, c) => largest(lines.map((line) => line[c]!.length)));
  const table = lines.map((line) =>
    line.map((cell, c) => (c < 2 ? cell.padEnd(wide[c]!) : cell.padStart(wide[c]!))).join("  "),
  );
  const notes = notesOf(rows).map((note) => `* ${note}`);
  return ["presence of regions in the windows of the test cases", ...table, ...notes].join("\n");
}

/** The section of the table. */
export function presenceScores(rows: readonly PresenceRow[]): string {
  const table = rows.map(({ modality, method, scores }) => ({
    titles: [modality, method],
    scores: NAMES.map((name) => scores[name].map(text)),
  }));
  const notes = notesOf(rows).map((note) => `<p>${escape(`${note}.`)}</p>`);
  return `<section><h2>Presence of regions in windows</h2>
${presenceTable(["modality", "method"], table)}
<p>These networks segment nothing. AUC is the chance that a window with the region gets a higher probability than one
without it: 1 is perfect, 0.5 is a guess.</p>${notes.join("")}</section>`;
}

function notesOf(rows: readonly PresenceRow[]): string[] {
  return rows.flatMap(({ modality, method, notes }) =>
    notes.map((note) => `${method} on ${modality}: ${note}`),
  );
}

function text({ mean, deviation }: Spread): string {
  const value = formatScore(mean, 3);
  return Number.isNaN(deviation) ? value : `${value} ±${formatScore(deviation, 3)}`;
}
