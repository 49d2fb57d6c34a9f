// A phantom of three tiny cases with a split, for tests of commands.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { run } from "./command.ts";

/** The cases: to train, to validate and to test on. */
export const IDS = ["PHANTOM_001", "PHANTOM_002", "PHANTOM_003"] as const;

/** The sizes of the smallest training on them. */
const SMALLEST = "--patch 8 --levels 2 --filters 2 --batch 1 --epochs 1".split(" ");

/** Makes the cases, and split.json beside them. */
export async function makeThreeCases(folder: string): Promise<void> {
  await makePhantom({ out: folder, cases: 3, size: 16, seed: 5 });
  const [train, val, test] = IDS;
  writeFileSync(join(folder, "split.json"), JSON.stringify({ train: [train], val: [val], test: [test] }));
}

/** The path of a case's file of a contrast, or of its label (seg). */
export function fileIn(data: string, id: string, kind: string): string {
  return join(data, id, `${id}_${kind}.nii.gz`);
}

/** The flags of train.js for the smallest teacher. */
export function teacherFlags(data: string, out: string): string[] {
  return ["--stage", "teacher", "--data", data, "--out", out, ...SMALLEST];
}

/** Trains the smallest teacher as a user does. */
export function trainTeacher(data: string, out: string, ...flags: readonly string[]): ReturnType<typeof run> {
  return run("train", ...teacherFlags(data, out), ...flags);
}
