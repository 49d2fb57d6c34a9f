// A stage's folder as the storage of its training: metrics and skipped steps are lines that are appended,
// checkpoints are replaced whole.

import { join } from "node:path";
import type { Position } from "../../trainer/loop/position.ts";
import type { StageStorage } from "../../trainer/stages/storage.ts";
import { saveState } from "./checkpoints.ts";
import { appendLine, writeAtomically } from "./files.ts";
import { fileBeside, FILES, SOMETIMES } from "./stageFolder.ts";
import { readFile } from "../terminal/userFile.ts";

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
 * and steps after `steps`. A last line that a crash cut goes too.
 */
export async function rewind(folder: string, { epoch }: Position, steps: number): Promise<void> {
  await keepLines(join(folder, FILES.metrics), (line) => (line as { epoch: number }).epoch < epoch);
  await keepLines(join(folder, SOMETIMES.badBatches), (line) => (line as { step: number }).step <= steps);
}

async function keepLines(path: string, wanted: (line: unknown) => boolean): Promise<void> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (text === null) return;
  const kept = text.split("\n").filter((line) => line && isWanted(line, wanted));
  const result = kept.map((line) => `${line}\n`).join("");
  if (result !== text) await writeAtomically(path, result);
}

function isWanted(line: string, wanted: (line: unknown) => boolean): boolean {
  try {
    return wanted(JSON.parse(line));
  } catch {
    return false; // a crash cut it
  }
}
