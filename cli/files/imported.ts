// A training state from elsewhere, a browser's tab or another machine: --resume-from FILE resumes it in a
// folder of its own. The file holds the training's settings, by the names of the table of settings, but not
// the place of its data.

import { join } from "node:path";
import { CheckpointError } from "../../model/errors.ts";
import { decodeTraining, encodeTraining, notedSettings } from "../../trainer/loop/state.ts";
import { type Stage, stateNotes } from "../../trainer/stages/stage.ts";
import { type FoundState, saveState } from "./checkpoints.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { checkSettings, type FileSettings } from "../../trainer/settings/check.ts";
import { portable } from "../../trainer/settings/config.ts";
import { saveModel } from "./models.ts";
import { FILES } from "./stageFolder.ts";
import { readFile } from "../terminal/userFile.ts";

/**
 * The settings in a training's file that make its numbers: places, threads and memory are this machine's.
 * Throws a CheckpointError for another file, a UsageError for unknown settings.
 */
export async function settingsIn(path: string): Promise<FileSettings> {
  const { metadata } = await decode(path);
  const found = notedSettings(metadata, `--resume-from ${path}`);
  if (found === null) return {};
  const { settings, problems } = checkSettings(portable(found));
  if (problems.length)
    throw new UsageError(`--resume-from ${path}: its settings are not known here: ${problems.join("; ")}`);
  return settings;
}

/**
 * Reads the state in the file, for a new folder. Its best network stayed where it came from, so none is best
 * yet.
 */
export async function readImported(path: string): Promise<FoundState> {
  const state = await decode(path);
  return { ...state, position: { ...state.position, best: null, idle: 0 }, path, imported: true };
}

/** Begins a folder with an imported state, which can be resumed there, and its network as the best so far. */
export async function keepImported(folder: string, state: FoundState, stage: Stage): Promise<void> {
  const card = stage.card(state.position.epoch - 1, stage.trainer.steps);
  await saveModel(join(folder, FILES.best), stage.params, card);
  await saveState(folder, await encodeTraining(state, stateNotes(card, stage.config)));
}

async function decode(path: string) {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new CheckpointError(
      `--resume-from ${path}: expected a training's checkpoint, got ${error.code === "ENOENT" ? "no file" : error.code}`,
    );
  });
  return decodeTraining(bytes, path);
}
