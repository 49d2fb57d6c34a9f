// A stage's folder as the storage of its training: metrics and skipped steps are lines that are appended,
// checkpoints are replaced whole.

import { join } from "node:path";
import * as v from "valibot";
import { type OwnFile, parseOwn } from "../../data/datasets/json.ts";
import type { Position } from "../../trainer/loop/position.ts";
import type { StageStorage } from "../../trainer/stages/storage.ts";
import { saveState } from "./checkpoints.ts";
import { appendLine, writeAtomically } from "./files.ts";
import { ownText, recordIn } from "./ownFiles.ts";
import { fileBeside, FILES, SOMETIMES } from "./stageFolder.ts";

export function folderStorage(folder: string): StageStorage {
  return {
    addEpoch: (record) => appendLine(join(folder, FILES.metrics), JSON.stringify(record)),
    addSkipped: (step) => appendLine(join(folder, SOMETIMES.badBatches), JSON.stringify(step)),
    saveBest: (bytes) => writeAtomically(join(folder, FILES.best), bytes),
    saveBeside: (role, bytes) => writeAtomically(join(folder, fileBeside(role)), bytes),
    saveState: (bytes) => saveState(folder, bytes),
  };
}

/**
 * Removes lines that were appended after a state was saved: epochs that are still to come by its position,
 * and steps after `steps`. A line that a crash cut, or that is damaged, goes too.
 */
export async function rewind(folder: string, { epoch }: Position, steps: number): Promise<void> {
  await keepLines(join(folder, FILES.metrics), (line) => (recordIn(line)?.epoch ?? Infinity) < epoch);
  await keepLines(join(folder, SOMETIMES.badBatches), (line) => (stepIn(line) ?? Infinity) <= steps);
}

async function keepLines(path: string, wanted: (line: string) => boolean): Promise<void> {
  const text = await ownText(path);
  if (text === null) return;
  const kept = text.split("\n").filter((line) => line && wanted(line));
  const result = kept.map((line) => `${line}\n`).join("");
  if (result !== text) await writeAtomically(path, result);
}

const SKIPPED: OwnFile<{ step: number }> = {
  content: "a skipped step",
  remedy: "remove the line",
  schema: v.looseObject({ step: v.number() }),
};

/** The step in a line of bad_batches.jsonl; null in a damaged one. */
function stepIn(line: string): number | null {
  try {
    return parseOwn(line, "", SKIPPED).step;
  } catch {
    return null;
  }
}
