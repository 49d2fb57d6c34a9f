// The settings that travel with a training: metadata "config" of its file, JSON under the command line's names. The page
// writes those that it has; in a file of the command line's it finds all of them, and refuses what it cannot do.

import * as v from "valibot";
import { DataError } from "../../data/errors.ts";
import { SAMPLING } from "../../data/sampling/patches.ts";
import { PREPARATION } from "../../data/preparation/preprocess.ts";
import { MODALITIES } from "../../data/datasets/source.ts";
import { CheckpointError } from "../../model/errors.ts";
import { PROTOKD } from "../../model/losses/losses.ts";
import { METHODS } from "../../model/methods/index.ts";
import { LOOP } from "../../trainer/loop/options.ts";
import { SETTINGS_NOTE } from "../../trainer/loop/state.ts";
import { VNET } from "../../model/networks/vnet.ts";
import { TILING } from "../../model/inference/windows.ts";
import type { TrainSettings } from "./trainProtocol.ts";

/** The only values that the page trains with. What else the command line has does not change what is learnt. */
const FIXED = {
  ...{ split: null, fold: null },
  ...{ norm: VNET.norm, deepSupervision: false, precision: "f32" },
  ...{ ...SAMPLING, ...PREPARATION, window: TILING.weighting },
  ...{ optimizer: LOOP.optimizer, schedule: LOOP.schedule, weightDecay: LOOP.decay, clip: LOOP.clip },
  ...{ validateFrom: LOOP.validateFrom, bestBy: LOOP.bestBy },
};
const DISTILLING = {
  kdWeight: PROTOKD.kd,
  prototypeWeight: PROTOKD.prototype,
  temperature: PROTOKD.temperature,
};

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const NoteSchema = v.object({
  stage: v.picklist(["teacher", "student"]),
  method: v.picklist(Object.keys(METHODS)),
  modality: v.nullable(v.picklist(MODALITIES)),
  epochs: count,
  batch: count,
  patch: v.tuple([count, count, count]),
  filters: count,
  levels: v.pipe(count, v.minValue(2)),
  lr: v.pipe(v.number(), v.finite(), v.minValue(0)),
  seed: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  validateEvery: count,
});

/** What of the settings in a file the page has fields for; `modality` is null for a teacher. */
export type FileSettings = v.InferOutput<typeof NoteSchema>;

/** The metadata that says how a stage is trained. */
export function settingsNote(stage: string, settings: TrainSettings): Record<typeof SETTINGS_NOTE, string> {
  const { method, modality, epochs, batch, patch, filters, levels, lr, seed, validateEvery } = settings;
  const own =
    stage === "teacher"
      ? ({ stage, method: "none", modality: null } as const)
      : ({ stage: "student", method, modality } as const);
  const note: FileSettings = {
    ...own,
    ...{ epochs, batch, patch: [...patch], filters, levels, lr, seed, validateEvery },
  };
  return { [SETTINGS_NOTE]: JSON.stringify(note) };
}

/**
 * The settings in a training's metadata, `name` being the file's; null where it has none, as older files. Throws a
 * CheckpointError for what are no settings, and a DataError that names each setting that the page cannot train with.
 */
export function settingsIn(metadata: Readonly<Record<string, string>>, name: string): FileSettings | null {
  const config = metadata[SETTINGS_NOTE];
  if (config === undefined) return null;
  let note: Record<string, unknown>;
  let settings: FileSettings;
  try {
    note = JSON.parse(config) as typeof note;
    settings = v.parse(NoteSchema, note);
    if ((settings.stage === "teacher") !== (settings.modality === null)) {
      throw new Error(`modality: a ${settings.stage}'s cannot be ${settings.modality ?? "null"}`);
    }
  } catch (error) {
    const place = v.isValiError(error) ? `${v.getDotPath(error.issues[0]) ?? "all"}: ` : "";
    throw new CheckpointError(
      `${name}: says of its settings what cannot be: ${place}${(error as Error).message}`,
    );
  }
  const fixed = { ...FIXED, ...(METHODS[settings.method]!.teacher && DISTILLING) };
  const others = Object.entries(fixed).filter(
    ([key, value]) => note[key] !== undefined && note[key] !== value,
  );
  if (!others.length) return settings;
  const list = others.map(
    ([key, value]) =>
      `${key} ${JSON.stringify(note[key])}, where this page has ${JSON.stringify(value)} alone`,
  );
  throw new DataError(
    `${name}: was trained with ${list.join("; ")}. The command line can go on with it (train --resume-from).`,
  );
}
