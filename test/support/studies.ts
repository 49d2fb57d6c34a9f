// Invented studies: differences drawn from the mixed model, and the records of arms.

import { Random } from "../../engine/autograd/random.ts";
import type { Variances } from "../../model/scoring/mixedMean.ts";
import type { ArmRecord } from "../../trainer/experiments/armRecord.ts";
import type { Arm } from "../../trainer/experiments/study.ts";
import type { Finished } from "../../trainer/experiments/studyRows.ts";

/** A table of trainings by cases, around a mean. */
export function differences(
  random: Random,
  [trainings, cases]: readonly [number, number],
  variances: Variances,
  { mean = 0, shared = true }: { mean?: number; shared?: boolean } = {},
): number[][] {
  const normal = (variance: number) => Math.sqrt(variance) * random.normal();
  const byCase = Array.from({ length: cases }, () => normal(variances.case));
  return Array.from({ length: trainings }, () => {
    const own = mean + normal(variances.training);
    return byCase.map((value) => own + (shared ? value : normal(variances.case)) + normal(variances.rest));
  });
}

/** The records of arms with invented scores: the mean Dice of `gain(arm)` more than the baseline's. */
export function invented(arms: readonly Arm[], cases: number, gain: (arm: Arm) => number): Finished[] {
  const regions = (value: number) => ({ WT: value, TC: value, ET: value });
  return arms.map((arm) => {
    const own = new Random(2000 + arms.indexOf(arm)); // of the training
    const shift = 0.006 * own.normal() + gain(arm);
    const scores = Array.from({ length: cases }, (_, c) => {
      const Dice = 0.65 + 0.1 * new Random(c).normal() + shift + 0.03 * own.normal();
      return { case: `PHANTOM_${c}`, Dice: regions(Dice), HD95: regions(20 * (1 - Dice)) };
    });
    const record: ArmRecord = {
      format: "protokd arm 1",
      version: "0.1.0",
      name: arm.name,
      method: arm.method,
      settings: { ...arm.settings },
      control: arm.control,
      modality: arm.modality,
      seed: arm.seed,
      data: { cases: "invented" },
      weights: "0".repeat(64),
      scores,
      convention: "brats",
      validation: [5, 10, 15, 20].map((epoch) => ({ epoch, mean: 0.7 - 2 / epoch + shift })),
      shares: { logits: { segmentation: 0.99, ...(arm.method !== "none" && { kd: 0.034 }) } },
      steps: 100,
      seconds: 60,
    };
    return { arm, record };
  });
}
