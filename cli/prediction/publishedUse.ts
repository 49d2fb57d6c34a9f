// How to use a checkpoint: by its card, or else by the user's options and the published code's defaults. And
// the networks of --model with the window and the post-processing that the options choose.

import { basename } from "node:path";
import type { Modality } from "../../data/datasets/datasets.ts";
import { PREPARATION, type Preparation } from "../../data/preparation/preprocess.ts";
import type { Tiling } from "../../model/inference/windows.ts";
import { describeVnet } from "../../model/files/published.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { DEFAULTS, fittingPatch, PARITY } from "../../trainer/settings/config.ts";
import { say } from "../terminal/console.ts";
import { channelsOf, type ModelUse, type StoredModel } from "../files/models.ts";
import { parsePatch } from "../../model/settings/kinds.ts";
import { type Candidate, readCandidates } from "./candidates.ts";

/** The user's options for a checkpoint without a card. */
export interface Published {
  modality?: Modality;
  background?: Preparation["background"];
  /** D,H,W */
  patch?: string;
}

/** The use of a checkpoint. Throws a UsageError for a value that both or neither of card and options have. */
export function useOf(model: StoredModel, { modality, background, patch }: Published): ModelUse {
  const modalities = channelsOf(model, modality);
  if (model.card) {
    const given = Object.entries({ background, patch }).find(([, value]) => value !== undefined);
    if (given)
      throw new UsageError(`--${given[0]}: only for checkpoints without metadata: ${model.path} has its own`);
    return model.card;
  }
  const use: ModelUse = {
    ...PREPARATION,
    background: background ?? PARITY.background,
    padding: PARITY.padding,
    modalities,
    patch: fittingPatch(patch ? parsePatch(patch) : DEFAULTS.patch, model.network.levels),
    labels: "brats",
    window: PARITY.window,
    stage: basename(model.path),
  };
  say(
    `${model.path}: ${describeVnet(model.network)}, without metadata on its use: assuming modalities ` +
      `${modalities.join(", ")}, --background ${use.background} and --patch ${use.patch.join(",")}`,
  );
  return use;
}

/** The user's options for all checkpoints. */
export interface Used extends Published {
  /** How windows are weighted; default: as the model was validated. */
  window?: Tiling["weighting"];
  /** Apply the post-processing chosen when the model was trained; default true. */
  postprocessing?: boolean;
}

/**
 * Reads the candidates of --model, with the window and the post-processing that the options choose. Throws a
 * CheckpointError or a UsageError.
 */
export async function candidatesOf(paths: readonly string[], options: Used): Promise<Candidate[]> {
  const { window, postprocessing = true } = options;
  const candidates = await readCandidates(paths, (model) => {
    const use = useOf(model, options);
    return window ? { ...use, window } : use;
  });
  for (const { name, members, postprocessing: rule } of candidates) {
    if (!postprocessing || rule || !members.some((member) => member.postprocessing)) continue;
    say(`${name}: its checkpoints have different post-processing: skipped`);
  }
  return postprocessing ? candidates : candidates.map((one) => ({ ...one, postprocessing: null }));
}
