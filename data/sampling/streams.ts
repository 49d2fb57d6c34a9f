// A random generator for every place in a run. The draws at one place do not depend on earlier draws, so that
// places can be visited in any order, by any number of threads, and again after an interruption.

import { Random } from "../../engine/autograd/random.ts";

/**
 * The first part of a place: the order of the cases, the share of foreground patches, a patch, a channel of a
 * patch, the contrasts that a network which takes any sees of a sample, which batches of an epoch hold cases
 * that lack contrasts, the augmentation of a view of a patch, and the place of a patch without a tumour.
 */
export const [ORDER, SHARE, PATCH, CHANNEL, SUBSET, KINDS, VIEW, HEALTHY] = [0, 1, 2, 3, 4, 5, 6, 7];

/**
 * Returns the generator of a place, which is a path of integers from 0 on. Equal seeds and places give equal
 * sequences; different places give practically independent ones.
 */
export function streamAt(seed: number, ...place: number[]): Random {
  let random = new Random(seed);
  for (const part of place) {
    const key = random.integer(2 ** 20) * 2 ** 32 + random.integer(2 ** 32);
    random = new Random(key + part);
  }
  return random;
}
