// Draws the contrasts that a network which takes any of them sees of a training sample.

import type { Random } from "../../engine/autograd/random.ts";

/** How often a contrast is dropped, from 0 (never) to below 1; 0.5 for those that are not named. */
export type DropWeights = Readonly<Record<string, number>>;

const EVEN = 0.5;

/**
 * Draws a subset of the contrasts that are there, at least one: subset S with a probability proportional to
 * the product of (1 - d) over its contrasts and of d over the others, with the contrasts' weights d. Where
 * all weights are 0.5, all subsets are equally likely.
 */
export function drawSubset(random: Random, there: readonly string[], weights: DropWeights = {}): string[] {
  const subsets = Array.from({ length: 2 ** there.length - 1 }, (_, i) =>
    there.map((_, bit) => ((i + 1) & (1 << bit)) !== 0),
  );
  const likely = subsets.map((kept) =>
    kept.reduce((product, is, i) => {
      const drop = weights[there[i]!] ?? EVEN;
      return product * (is ? 1 - drop : drop);
    }, 1),
  );
  let left = random.next() * likely.reduce((sum, one) => sum + one, 0);
  let chosen = likely.findIndex((one) => (left -= one) < 0);
  if (chosen < 0) chosen = likely.findLastIndex((one) => one > 0); // rounding
  return there.filter((_, i) => subsets[chosen]![i]);
}
