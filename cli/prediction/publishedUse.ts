// How to use a checkpoint: by its card, or else by the user's options and the published code's defaults.

import { basename } from "node:path";
import type { Modality } from "../../data/datasets/datasets.ts";
import { PREPARATION, type Preparation } from "../../data/preparation/preprocess.ts";
import { describeVnet } from "../../model/files/published.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { DEFAULTS, fittingPatch, PARITY } from "../../trainer/settings/config.ts";
import { say } from "../terminal/console.ts";
import { channelsOf, type ModelUse, type StoredModel } from "../files/models.ts";
import { parsePatch } from "../../model/settings/kinds.ts";

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
