// The table of fifteen inside a test: a phantom of three cases, and runs of tiny networks whose weights are
// random. A test file makes its own folder of them.

import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { scoreSubsets, type SubsetsOptions } from "../../cli/report/scoreSubsets.ts";
import { MODALITIES, type Modality } from "../../data/datasets/datasets.ts";
import type { SubsetTable } from "../../trainer/experiments/subsetTable.ts";
import { device } from "./gradcheck.ts";
import { failure, silenced } from "./quietly.ts";
import { storeStage } from "./storedRun.ts";

/** The folder of the test file; its caller removes it. */
export const folder = fs.mkdtempSync(join(tmpdir(), "subsets-"));
export const data = join(folder, "data");
export const run = join(folder, "run");
export const ids = ["PHANTOM_001", "PHANTOM_002", "PHANTOM_003"];
/** The test cases of the run. */
export const tested = ids.slice(1);

/** Makes the phantom and the run. */
export async function prepare(): Promise<void> {
  await makePhantom({ out: data, cases: 3, size: 16, seed: 5 });
  await storeRun(run, 1);
}

/** A run of a teacher and three students: none of T2. */
export async function storeRun(
  path: string,
  seed: number,
  split = { train: ids.slice(0, 1), val: [] as string[], test: tested },
): Promise<void> {
  const stages: [string, Modality[], number][] = [
    ["teacher", [...MODALITIES], 0.8],
    ["student_t1", ["t1"], 0.3],
    ["student_t1ce", ["t1ce"], 0.5],
    ["student_flair", ["flair"], 0.4],
  ];
  for (const [i, [name, modalities, dice]] of stages.entries()) {
    await storeStage(path, { name, modalities, dice, seed: seed + i });
    fs.writeFileSync(join(path, name, FILES.split), JSON.stringify(split));
  }
}

/** Scores as the command does; what it prints, and where the table is. */
export async function score(
  options: Partial<SubsetsOptions>,
  open = () => Promise.resolve(device),
): Promise<{ table: SubsetTable; printed: string[]; out: string }> {
  const all: SubsetsOptions = { model: run, data, ...options };
  let table: SubsetTable | null = null;
  const printed = await silenced(async () => (table = await scoreSubsets(open, all)));
  return { table: table!, printed, out: all.out ?? join(all.model as string, "subsets") };
}

/** The message that scoring is refused with, before it opens a device. */
export async function refused(options: Partial<SubsetsOptions>): Promise<string> {
  const opened = () => Promise.reject(new Error("the device was opened"));
  return (await failure(() => score(options, opened))).message;
}

/** The number of predictions that a call made. */
export function predictions({ printed }: { printed: string[] }): number {
  const line = printed.find((text) => / predictions? in \d/.test(text));
  return line === undefined ? 0 : parseInt(line);
}

/** The lines of a file of the table. */
export function lines(out: string, name: string): string[] {
  return fs.readFileSync(join(out, name), "utf8").trim().split("\n");
}

/** The content of a JSON file of the table. */
export function read<Content>(out: string, name: string): Content {
  return JSON.parse(fs.readFileSync(join(out, name), "utf8")) as Content;
}
