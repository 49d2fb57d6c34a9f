// presence.json and presence.csv: for each case the probability that it shows WT, TC and ET, the highest of
// its windows, and where that window is.

import { join } from "node:path";
import * as v from "valibot";
import type { OwnFile } from "../../data/datasets/json.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import { type Place, placeOf } from "../../data/preparation/place.ts";
import { type Region, REGION_NAMES, type Vec3 } from "../../model/scoring/regions.ts";
import type { Scores } from "../../trainer/loop/records.ts";
import { casePeaks, type JudgedWindow, type WindowPresence } from "../../trainer/stages/presence.ts";
import { writeAtomically } from "../files/files.ts";
import { readOwn } from "../files/ownFiles.ts";
import { csv } from "../files/csv.ts";

/** The files' names. */
export const PRESENCE = { json: "presence.json", csv: "presence.csv" } as const;

/** The presence of a region in a case. */
export interface Presence {
  probability: number;
  /** The window with this probability. */
  window: Place;
  /** The number of the case's windows whose label shows the region; absent without a label. */
  labelled?: number;
}

/** A case with the presence of each region, and the number of its windows. */
export type CasePresence = { case: string; windows: number } & Record<Region, Presence>;

/** The scores of a classifier on the windows of the test cases. */
export interface PresenceSummary {
  windows: number;
  /** The number of windows whose label shows each region. */
  labelled: Record<Region, number>;
  AUC: Scores;
  averagePrecision: Scores;
}

/** The content of a stage's presence.json. */
export type StagePresence = PresenceSummary & { cases: readonly CasePresence[] };

const amount = v.nullable(v.number()); // JSON has null for NaN
const whole = v.array(v.number());
const counts = v.looseObject({ WT: v.number(), TC: v.number(), ET: v.number() });
const scores = v.looseObject({ WT: amount, TC: amount, ET: amount, mean: amount });
const present = v.looseObject({
  probability: amount,
  window: v.looseObject({ first: whole, size: whole, centre: whole }),
  labelled: v.optional(v.number()),
});

const PRESENCE_FILE: OwnFile<StagePresence> = {
  content: "the scores of a stage that classifies",
  remedy: "remove it and the report.html beside it, and train with --resume: the test cases are judged again",
  schema: v.looseObject({
    windows: v.number(),
    labelled: counts,
    AUC: scores,
    averagePrecision: scores,
    cases: v.array(
      v.looseObject({ case: v.string(), windows: v.number(), WT: present, TC: present, ET: present }),
    ),
  }) as v.GenericSchema<unknown, unknown> as v.GenericSchema<unknown, StagePresence>,
};

/** The scores in a stage's folder; null where it has none. Throws a DataError for a damaged file. */
export function readPresence(folder: string): Promise<StagePresence | null> {
  return readOwn(join(folder, PRESENCE.json), PRESENCE_FILE);
}

/** The presence in a case, from the windows [D, H, W] of the network that classified it. */
export function presenceOf(
  prepared: Pick<Case, "id" | "size" | "source" | "turn">,
  windows: readonly (WindowPresence | JudgedWindow)[],
  patch: Vec3,
): CasePresence {
  const peaks = casePeaks(windows);
  const judged = windows.filter((window): window is JudgedWindow => "present" in window);
  const of = (region: Region): Presence => ({
    probability: peaks[region].probability,
    window: placeOf(prepared, peaks[region].corner, patch),
    ...(judged.length && { labelled: judged.filter(({ present }) => present[region]).length }),
  });
  return { case: prepared.id, windows: windows.length, WT: of("WT"), TC: of("TC"), ET: of("ET") };
}

/** The number of windows of all cases whose label shows each region. */
export function labelledIn(cases: readonly CasePresence[]): Record<Region, number> {
  const of = (region: Region) => cases.reduce((sum, one) => sum + (one[region].labelled ?? 0), 0);
  return { WT: of("WT"), TC: of("TC"), ET: of("ET") };
}

/** Describes a window's numbers, in presence.json. */
const POSITIONS =
  "centre: mm, right, anterior, superior count up (RAS+); first, size: voxels of the file, from 0; all x, y, z";

/** Writes presence.json, with `about` first, and presence.csv, which has the windows' centres. */
export async function writePresence(
  folder: string,
  cases: readonly CasePresence[],
  about: Readonly<Record<string, unknown>>,
): Promise<void> {
  const columns = REGION_NAMES.flatMap((region) => [
    region,
    ...["x", "y", "z"].map((axis) => `${region}_${axis}_mm`),
  ]);
  const rows = cases.map((one) => [
    one.case,
    one.windows,
    ...REGION_NAMES.flatMap((region) => [one[region].probability, ...one[region].window.centre]),
  ]);
  await writeAtomically(join(folder, PRESENCE.csv), csv([["case", "windows", ...columns], ...rows]));
  const content = { ...about, positions: POSITIONS, cases };
  await writeAtomically(join(folder, PRESENCE.json), `${JSON.stringify(content, null, 2)}\n`);
}

/** The scores in words. */
export function presenceText(summary: PresenceSummary, cases: number): string {
  const { windows, AUC, averagePrecision } = summary;
  const numbers = ({ WT, TC, ET, mean }: Scores) =>
    `WT ${WT.toFixed(3)}, TC ${TC.toFixed(3)}, ET ${ET.toFixed(3)}, mean ${mean.toFixed(3)}`;
  const notes = unjudged(summary).map((note) => `; ${note}`);
  return (
    `${windows} windows of ${cases === 1 ? "1 test case" : `${cases} test cases`}: AUC ${numbers(AUC)}; ` +
    `average precision ${numbers(averagePrecision)}${notes.join("")}`
  );
}

/** Says which regions' scores mean nothing, since every window shows them, or no window does. */
export function unjudged({ windows, labelled }: Pick<PresenceSummary, "windows" | "labelled">): string[] {
  const where = (count: number) => REGION_NAMES.filter((region) => labelled[region] === count).join(", ");
  const [every, none] = [where(windows), where(0)];
  return [
    ...(every ? [`every window shows ${every}, whose scores mean nothing: use a smaller --patch`] : []),
    ...(none ? [`no window shows ${none}, whose scores mean nothing`] : []),
  ];
}
