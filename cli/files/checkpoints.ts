// The training states of a stage: the latest, and the one before it, which is resumed where the latest turns
// out to be damaged. Neither is ever written to: a new one takes the latest's place when it is whole on the
// disk.

import { rename } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, OldStateError } from "../../model/errors.ts";
import { decodeTraining, type TrainingState } from "../../trainer/loop/state.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { exists, keepAs, writeAtomically } from "./files.ts";
import { FILES, held, SOMETIMES } from "./stageFolder.ts";
import { readFile } from "../terminal/userFile.ts";

/** Makes a state's bytes the latest of a stage's folder, and the latest so far the previous one. */
export async function saveState(folder: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const latest = join(folder, FILES.latest);
  if (await exists(latest)) await keepAs(latest, join(folder, FILES.previous));
  await writeAtomically(latest, bytes);
}

/** Tells whether a stage's folder holds a state, even a damaged one. */
export async function hasState(folder: string): Promise<boolean> {
  return (await exists(join(folder, FILES.latest))) || (await exists(join(folder, FILES.previous)));
}

/** A state, its file, and whether it was imported: then its folder begins with it. */
export type FoundState = TrainingState & {
  metadata: Readonly<Record<string, string>>;
  path: string;
  imported: boolean;
};

/**
 * Reads the latest state of a stage's folder. A damaged one is put aside, `report` is called with a message,
 * and the one before becomes the latest. Throws a UsageError without one, an OldStateError for one of
 * an older version, which stays untouched, and a CheckpointError where all are damaged.
 */
export async function readState(folder: string, report: (line: string) => void): Promise<FoundState> {
  const [latest, previous] = [join(folder, FILES.latest), join(folder, FILES.previous)];
  const problems: string[] = [];
  for (const path of [latest, previous]) {
    const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw new CheckpointError(`${path}: could not be read (${error.code}): change its permissions`);
    });
    if (!bytes) continue;
    try {
      const state = await decodeTraining(bytes, path);
      if (path === previous) {
        if (problems.length) await rename(latest, join(folder, SOMETIMES.damaged));
        await keepAs(previous, latest);
        report(`${problems[0] ?? `${latest}: is missing`}: resuming ${FILES.previous} instead`);
      }
      return { ...state, path, imported: false };
    } catch (error) {
      if (!(error instanceof CheckpointError) || error instanceof OldStateError) throw error;
      problems.push(error.message);
    }
  }
  if (problems.length) {
    throw new CheckpointError(
      `${problems.join("\n")}\nno state is left to resume: start again in another --out, or ` +
        "here with --overwrite, which deletes what is left of this training",
    );
  }
  throw new UsageError(
    `--resume: ${folder} holds no training state to resume: start without --resume` +
      ((await held(folder)).length
        ? " in another --out; --overwrite would delete the files in this folder"
        : ""),
  );
}
