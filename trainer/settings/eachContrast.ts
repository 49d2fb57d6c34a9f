// The settings of a method that trains one network on each of several contrasts alone: which these are, and
// what does not go with it.

import type { Modality } from "../../data/datasets/source.ts";
import { contrastsIn, EACH, eachOf, isAny, isEach } from "../../data/datasets/subsets.ts";
import { methodOf, METHODS, titleOf } from "../../model/methods/index.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { networkModalities } from "./config.ts";
import { studentOf } from "./contrasts.ts";
import type { TrainConfig } from "./settings.ts";

/** A student's default contrast: the one that shows most of a tumour's core. */
const STUDENT: Modality = "t1ce";

/** The contrasts of a method's student: those that --modality gives, else the method's default. */
export function studentSees(method: string, given?: string): string {
  const own = methodOf(method).defaults?.["modality"];
  const usual = typeof own === "string" ? own : STUDENT;
  return contrastsFor(method, studentOf("--modality", given ?? usual));
}

/**
 * Returns the student's contrasts as its method takes them: for one that sees each contrast alone
 * "each:t1ce+flair" for "t1ce+flair". Throws a UsageError for contrasts that do not go with the method.
 */
export function contrastsFor(method: string, modality: string): string {
  const title = titleOf(method);
  if (!methodOf(method).eachContrast) {
    if (!isEach(modality)) return modality;
    const able = Object.values(METHODS).filter((one) => "eachContrast" in one && one.eachContrast);
    throw new UsageError(
      `--modality ${modality}: goes with --method ${able.map(({ name }) => name).join(" or ")}: the network of ` +
        `${title} sees all its contrasts together`,
    );
  }
  if (isAny(modality))
    throw new UsageError(
      `--modality ${modality}: ${title} trains one network on each contrast alone: join them by +, like t1ce+flair, ` +
        `or use ${EACH} for all that the data have`,
    );
  const contrasts = contrastsIn(modality);
  if (contrasts.length > 1) return isEach(modality) ? modality : eachOf(contrasts);
  throw new UsageError(
    `--modality ${modality}: ${title} shares a network between two contrasts or more: join them by +, like t1ce+flair`,
  );
}

/**
 * The settings of the stages that a training yields: itself; or, where one network sees each contrast alone,
 * a stage of one channel for each contrast, "student_t1ce_ummkd".
 */
export function yieldedStages(config: TrainConfig): TrainConfig[] {
  if (!isEach(config.modality)) return [config];
  return networkModalities(config).map((modality) => ({ ...config, modality }));
}

/** Throws a UsageError for first weights, which a network for each contrast does not take. */
export function checkEach({
  method,
  init,
  initEncoder,
}: Pick<TrainConfig, "method" | "init" | "initEncoder">): void {
  const flag = init !== null ? "--init" : "--init-encoder";
  const file = init ?? initEncoder;
  if (file === null || !methodOf(method).eachContrast) return;
  throw new UsageError(
    `${flag} ${file}: ${titleOf(method)} trains its contrasts together from the beginning: train without ${flag}`,
  );
}
