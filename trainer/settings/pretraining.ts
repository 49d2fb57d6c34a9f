// The settings of a pretraining, which sees images alone and trains an encoder.

import { isAny } from "../../data/datasets/subsets.ts";
import {
  DEFAULT_METHOD,
  DEFAULT_PRETRAINING,
  PLAIN,
  PRETRAININGS,
  unusedSettings,
} from "../../model/methods/index.ts";
import { UsageError } from "../../model/settings/errors.ts";
import type { TrainConfig } from "./config.ts";

/** The methods of stages where no flag names one. */
export const DEFAULT_METHODS = { teacher: PLAIN, student: DEFAULT_METHOD, pretrain: DEFAULT_PRETRAINING };

/** Some settings, as flags give them. */
type Given = Readonly<Record<string, unknown>>;

/** Settings that a pretraining does not use, by the reason. */
const UNUSED: Readonly<Record<string, readonly string[]>> = {
  "learns from no other network": ["teacher", "teacherModality", "init", "initEncoder", "dropWeights"],
  "sees no labels": [
    "foreground",
    "validateEvery",
    "validateFrom",
    "bestBy",
    "patience",
    "window",
    "scoring",
  ],
  "trains no decoder": ["deepSupervision"],
  "has settings of its own": ["parity", "recipe"],
};

/** Tells whether a pretraining uses a setting, be it one of all stages or of a method. */
export function pretrainingUses(name: string): boolean {
  if (Object.values(UNUSED).some((names) => names.includes(name))) return false;
  return !unusedSettings(DEFAULT_PRETRAINING).includes(name);
}

/**
 * Throws a UsageError for a pretraining of another method or of any contrasts, or a flag that it does not
 * use; and for a pretraining's method in another stage.
 */
export function checkPretraining(
  { stage, method, modality = null }: Pick<TrainConfig, "stage" | "method"> & { modality?: string | null },
  given: Given,
): void {
  const pretrains = method in PRETRAININGS;
  if (stage !== "pretrain") {
    if (!pretrains) return;
    throw new UsageError(
      `--method ${method}: trains an encoder without labels: use --stage pretrain, and then ` +
        `--stage ${stage} --init-encoder FILE with one of the other methods, such as ${DEFAULT_METHOD}`,
    );
  }
  if (!pretrains)
    throw new UsageError(
      `--method ${method}: needs labels: --stage pretrain has the method ${Object.keys(PRETRAININGS).join(", ")}`,
    );
  if (modality !== null && isAny(modality))
    throw new UsageError(
      `--modality ${modality}: a pretraining sees the same contrasts of every case: name them, like t1ce or t1+t1ce`,
    );
  for (const [why, names] of Object.entries(UNUSED)) {
    const name = names.find((one) => given[one] !== undefined && given[one] !== false);
    if (name === undefined) continue;
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new UsageError(`--${flag}: --stage pretrain ${why}, and does not use it`);
  }
}
