// The checkpoints that a stage goes on from: the latest, and the one before it, which is taken where the latest turns
// out to be damaged. Neither is ever written to: a new one takes the latest's place when it is whole on the disk.

import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { cardMetadata } from "../../model/files/card.ts";
import { CheckpointError } from "../../model/files/safetensors.ts";
import {
  decodeTraining,
  encodeTraining,
  SETTINGS_NOTE,
  type TrainingState,
} from "../../trainer/loop/state.ts";
import { UsageError } from "../../trainer/errors.ts";
import { portable } from "../../trainer/settings/config.ts";
import { exists, keepAs, writeAtomically } from "./files.ts";
import type { ModelCard } from "./models.ts";
import type { TrainConfig } from "../../trainer/settings/settings.ts";
import { FILES, held, SOMETIMES } from "./stageFolder.ts";

/** What a training's file says beside its state: of its network, and its settings, for whoever goes on elsewhere. */
export function stateNotes(card: ModelCard, config: TrainConfig): Record<string, string> {
  return { ...cardMetadata(card), [SETTINGS_NOTE]: JSON.stringify(portable(config)) };
}

/** Makes a state the latest of a stage's folder, and the one that was the latest the previous one. */
export async function saveState(
  folder: string,
  state: TrainingState,
  notes: Record<string, string>,
): Promise<void> {
  const latest = join(folder, FILES.latest);
  const bytes = await encodeTraining(state, notes);
  if (await exists(latest)) await keepAs(latest, join(folder, FILES.previous));
  await writeAtomically(latest, bytes);
}

/** Whether a stage's folder holds a state, be it damaged. */
export async function hasState(folder: string): Promise<boolean> {
  return (await exists(join(folder, FILES.latest))) || (await exists(join(folder, FILES.previous)));
}

/** A state, the file that it is from, and whether that came from elsewhere, for a folder that begins with it. */
export type FoundState = TrainingState & { path: string; carried: boolean };

/**
 * The latest state of a stage's folder; where that is damaged, it is put aside, `report` is told, and the one before is
 * the latest. Throws a UsageError where there is none, a CheckpointError where all are damaged.
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
        report(`${problems[0] ?? `${latest}: is missing`}: going on from ${FILES.previous} instead`);
      }
      return { ...state, path, carried: false };
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      problems.push(error.message);
    }
  }
  if (problems.length) {
    throw new CheckpointError(
      `${problems.join("\n")}\nnothing is left to go on from: start again with --overwrite`,
    );
  }
  throw new UsageError(
    `--resume: ${folder} holds no checkpoint to go on from: leave --resume out to begin` +
      ((await held(folder)).length ? ", with --overwrite to replace what it holds" : ""),
  );
}
