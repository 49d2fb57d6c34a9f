// presence.json and presence.csv: for each case the probability that it shows WT, TC and ET, the highest of
// its windows, and where that window is.

import { join } from "node:path";
import type { Case } from "../../data/preparation/preprocess.ts";
import { type Region, REGION_NAMES, type Vec3 } from "../../model/scoring/regions.ts";
import type { Scores } from "../../trainer/loop/records.ts";
import { casePeaks, type WindowPresence } from "../../trainer/stages/presence.ts";
import { writeAtomically } from "../files/files.ts";
import { csv } from "../files/csv.ts";

/** The files' names. */
export const PRESENCE = { json: "presence.json", csv: "presence.csv" } as const;

/** The presence of a region in a case. */
export interface Presence {
  probability: number;
  /**
   * The first voxel of the window with this probability, D, H, W, in the image turned to the orientation that
   * the file names; negative where the image is smaller than the window.
   */
  window: Vec3;
}

/** A case with the presence of each region, and the number of its windows. */
export type CasePresence = { case: string; windows: number } & Record<Region, Presence>;

/** The scores of a classifier on the windows of the test cases. */
export interface PresenceSummary {
  windows: number;
  AUC: Scores;
  averagePrecision: Scores;
}

/** The presence in a case, from the windows of the network that classified it. */
export function presenceOf(
  { id, source: { offset }, turn }: Pick<Case, "id" | "source" | "turn">,
  windows: readonly WindowPresence[],
): CasePresence {
  const peaks = casePeaks(windows);
  const of = (region: Region): Presence => {
    const { probability, corner } = peaks[region];
    // A turned crop has its own axes.
    const first = turn ? corner : corner.map((c, axis) => c + offset[axis]!);
    return { probability, window: first as unknown as Vec3 };
  };
  return { case: id, windows: windows.length, WT: of("WT"), TC: of("TC"), ET: of("ET") };
}

/** Writes presence.json, with `about` first, and presence.csv. */
export async function writePresence(
  folder: string,
  cases: readonly CasePresence[],
  about: Readonly<Record<string, unknown>>,
): Promise<void> {
  const columns = REGION_NAMES.flatMap((region) => [region, ...["z", "y", "x"].map((a) => `${region}_${a}`)]);
  const rows = cases.map((one) => [
    one.case,
    one.windows,
    ...REGION_NAMES.flatMap((region) => [one[region].probability, ...one[region].window]),
  ]);
  await writeAtomically(join(folder, PRESENCE.csv), csv([["case", "windows", ...columns], ...rows]));
  await writeAtomically(join(folder, PRESENCE.json), `${JSON.stringify({ ...about, cases }, null, 2)}\n`);
}

/** The scores in words. */
export function presenceText({ windows, AUC, averagePrecision }: PresenceSummary, cases: number): string {
  const numbers = ({ WT, TC, ET, mean }: PresenceSummary["AUC"]) =>
    `WT ${WT.toFixed(3)}, TC ${TC.toFixed(3)}, ET ${ET.toFixed(3)}, mean ${mean.toFixed(3)}`;
  return (
    `${windows} windows of ${cases === 1 ? "1 test case" : `${cases} test cases`}: AUC ${numbers(AUC)}; ` +
    `average precision ${numbers(averagePrecision)}`
  );
}
