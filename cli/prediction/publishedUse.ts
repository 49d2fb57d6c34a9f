// How to use a checkpoint: as its card says, or, where it has none, as the user and the published code do.

import { basename } from "node:path";
import type { Modality } from "../../data/datasets/datasets.ts";
import { PREPARATION, type Preparation } from "../../data/preparation/preprocess.ts";
import { describeVnet } from "../../model/files/published.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { DEFAULTS, fittingPatch, PARITY } from "../../trainer/settings/config.ts";
import { say } from "../terminal/console.ts";
import { channelsOf, type ModelUse, type StoredModel } from "../files/models.ts";
import { parsePatch } from "../../model/settings/kinds.ts";

/** What a user says of a checkpoint without a card. */
export interface Published {
  modality?: Modality;
  background?: Preparation["background"];
  /** D,H,W */
  patch?: string;
}

/** Its use; throws a UsageError where both its card and the user say something, or neither does. */
export function useOf(model: StoredModel, { modality, background, patch }: Published): ModelUse {
  const modalities = channelsOf(model, modality);
  if (model.card) {
    const given = Object.entries({ background, patch }).find(([, value]) => value !== undefined);
    if (given) throw new UsageError(`--${given[0]}: ${model.path} says that itself`);
    return model.card;
  }
  const use: ModelUse = {
    ...{ ...PREPARATION, background: background ?? PARITY.background, padding: PARITY.padding },
    ...{ modalities, patch: fittingPatch(patch ? parsePatch(patch) : DEFAULTS.patch, model.network.levels) },
    ...{ labels: "brats", window: PARITY.window, stage: basename(model.path) },
  };
  say(
    `${model.path}: ${describeVnet(model.network)}, which does not say how to use it: taken to be ` +
      `${modalities.join(", ")}, --background ${use.background} and --patch ${use.patch.join(",")}`,
  );
  return use;
}
