// Differences of invented studies: drawn from the mixed model, for tests of its statistics.

import type { Random } from "../../engine/autograd/random.ts";
import type { Variances } from "../../model/scoring/mixedMean.ts";

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
