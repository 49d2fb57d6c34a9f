// Which patches a network takes. Without the engine, so that a page may ask before there is a GPU.

/** Throws unless the network can halve such a patch [D,H,W] levels-1 times, and leave more than one voxel. */
export function checkPatch(patch: readonly number[], levels: number): void {
  const step = 2 ** (levels - 1);
  if (patch.length === 3 && patch.every((s) => s > 0 && s % step === 0) && patch.some((s) => s > step))
    return;
  throw new Error(
    `patch: ${levels} levels need three multiples of ${step}, not all ${step} themselves, got ${patch.join(",")}`,
  );
}
