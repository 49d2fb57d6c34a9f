// A training that came as a file from elsewhere, from a browser's tab or another machine: --resume-from FILE goes on from
// it in a folder of its own. The file says with which settings, by the names of settings.ts, but not where data lie.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "../../model/files/safetensors.ts";
import type { Params } from "../../model/networks/params.ts";
import { decodeTraining, SETTINGS_NOTE } from "../../trainer/loop/state.ts";
import { type FoundState, saveState, stateNotes } from "./checkpoints.ts";
import { UsageError } from "../../trainer/errors.ts";
import { checkSettings, type FileSettings } from "../terminal/configFile.ts";
import { type ModelCard, saveModel } from "./models.ts";
import type { TrainConfig } from "../../trainer/settings/settings.ts";
import { FILES } from "./stageFolder.ts";

/** The settings that a training's file says it has; none where an older one does not. Throws a CheckpointError, or a UsageError for settings that are none. */
export async function settingsIn(path: string): Promise<FileSettings> {
  const { metadata } = await decode(path);
  const note = metadata[SETTINGS_NOTE];
  if (note === undefined) return {};
  const refuse = (why: string): never => {
    throw new UsageError(`--resume-from ${path}: was trained with what is not known here: ${why}`);
  };
  const found: unknown = JSON.parse(note); // which is sealed: all of it is there
  if (typeof found !== "object" || found === null) return refuse("its settings are none");
  const { settings, problems } = checkSettings(found);
  return problems.length === 0 ? settings : refuse(problems.join("; "));
}

/** The state in the file, for a new folder: which network was its best, only that it came from knows. */
export async function readCarried(path: string): Promise<FoundState> {
  const state = await decode(path);
  return { ...state, position: { ...state.position, best: null, idle: 0 }, path, carried: true };
}

/** Begins a folder with a state from elsewhere: it can be gone on with, and the network of that state is the best so far. */
export async function keepCarried(
  folder: string,
  state: FoundState,
  { params, card, config }: { params: Params; card: ModelCard; config: TrainConfig },
): Promise<void> {
  await saveModel(join(folder, FILES.best), params, card);
  await saveState(folder, state, stateNotes(card, config));
}

async function decode(path: string) {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new CheckpointError(
      `--resume-from ${path}: expected a training's checkpoint, got ${error.code === "ENOENT" ? "no file" : error.code}`,
    );
  });
  return decodeTraining(bytes, path);
}
