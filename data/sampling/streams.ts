// A generator of random numbers for every place in a run. What is drawn at one place does not depend on what was
// drawn before it, so that places can be visited in any order, by any number of threads, and again after a stop.

import { Random } from "../../engine/autograd/random.ts";

/**
 * The generator of a place, which is a path of integers from 0 on. Equal seeds and places give equal sequences;
 * those of different places are as good as independent.
 */
export function streamAt(seed: number, ...place: number[]): Random {
  let random = new Random(seed);
  for (const part of place) {
    const key = random.integer(2 ** 20) * 2 ** 32 + random.integer(2 ** 32);
    random = new Random(key + part);
  }
  return random;
}
