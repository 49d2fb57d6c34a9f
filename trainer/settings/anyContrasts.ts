// The settings of a student that takes any of its contrasts: whether they fit together, and which contrasts
// "any" stands for, by the cases.

import { type CaseFiles, MODALITIES } from "../../data/datasets/datasets.ts";
import { contrastsOf } from "../../data/datasets/gaps.ts";
import { ANY, anyOf, type EACH, eachOf, isAny } from "../../data/datasets/subsets.ts";
import { DataError } from "../../data/errors.ts";
import { usesTeacher } from "../../model/methods/index.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { dropWeightsIn } from "./contrasts.ts";
import type { TrainConfig } from "./settings.ts";

/** The value of --teacher for a network that is its own teacher; a file of this name is ./self. */
export const SELF = "self";

type AnySettings = Pick<
  TrainConfig,
  "stage" | "method" | "modality" | "dropWeights" | "selfTaught" | "teacherModality"
>;

/** Throws a UsageError for settings that only a network has which takes any contrasts. */
export function checkAny(settings: AnySettings): void {
  const { stage, method, modality, dropWeights, selfTaught, teacherModality } = settings;
  const sees = stage === "teacher" ? "a teacher sees all its contrasts" : `the student sees ${modality}`;
  if (dropWeights !== null && !isAny(modality))
    throw new UsageError(`--drop-weights: goes with --modality ${ANY}, and ${sees}`);
  dropWeightsIn(dropWeights);
  if (!selfTaught) return;
  if (!isAny(modality))
    throw new UsageError(
      `--teacher ${SELF}: goes with --modality ${ANY}, whose network sees all contrasts in a second pass; ${sees}: ` +
        "give a teacher's checkpoint, or none to train one",
    );
  if (teacherModality !== null)
    throw new UsageError(
      `--teacher-modality: --teacher ${SELF} sees what the network sees: give one of them`,
    );
  if (!usesTeacher(method, { ...settings }))
    throw new UsageError(`--teacher ${SELF}: the method ${method} uses no teacher`);
}

/**
 * Returns the setting of a student that takes any, or each, of the contrasts that at least one of the cases
 * to train on has; where these are not all four, with a note for the user, such as "takes any of t1, t2: no
 * case to train on has t1ce or flair". Throws a DataError where fewer than two are there.
 */
export function anyContrasts(
  cases: readonly CaseFiles[],
  which: typeof ANY | typeof EACH = ANY,
): { modality: string; note: string | null } {
  const found = contrastsOf(cases);
  const [only] = found;
  if (found.length < 2) {
    const remedy = only ? `train a student with --modality ${only}` : "choose other cases";
    throw new DataError(
      `--modality ${which}: expected cases of two contrasts or more, got ${only ? `${only} alone` : "none"}: ${remedy}`,
    );
  }
  const missing = MODALITIES.filter((modality) => !found.includes(modality));
  const note = `takes ${which} of ${found.join(", ")}: no case to train on has ${missing.join(" or ")}`;
  return { modality: (which === ANY ? anyOf : eachOf)(found), note: missing.length ? note : null };
}
