// Batches of a sampler.

import type { Batch, PatchSampler } from "../../data/sampling/patches.ts";

/** Returns the next `count` batches. */
export async function take(sampler: PatchSampler, count: number): Promise<Batch[]> {
  const batches: Batch[] = [];
  while (batches.length < count) batches.push(await sampler.next());
  return batches;
}
