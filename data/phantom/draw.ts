// Random numbers for the phantom, from sums and products alone: machines differ in the last bit of a
// logarithm or a cosine.

import { Random } from "../../engine/autograd/random.ts";

/** Draws a nearly normal number: mean 0, deviation 1, between -3 and 3. */
export function bell(random: Random): number {
  return 2 * (random.next() + random.next() + random.next() - 1.5);
}

/** Draws a number between two, each as likely as the other. */
export function within(random: Random, low: number, high: number): number {
  return low + (high - low) * random.next();
}

/** Draws true with a probability. */
export function chance(random: Random, probability: number): boolean {
  return random.next() < probability;
}

/** Draws an independent generator: what is drawn from it changes nothing else. */
export function fork(random: Random): Random {
  return new Random(Math.floor(random.next() * 2 ** 32));
}
