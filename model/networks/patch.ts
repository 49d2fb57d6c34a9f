// The patches that a network can take. Imports no engine, so that a page can check them before it has a GPU.

/** Throws unless a patch [D,H,W] can be halved levels-1 times and still have more than one voxel. */
export function checkPatch(patch: readonly number[], levels: number): void {
  const step = 2 ** (levels - 1);
  if (patch.length === 3 && patch.every((s) => s > 0 && s % step === 0) && patch.some((s) => s > step))
    return;
  throw new Error(
    `patch: ${levels} levels need three multiples of ${step}, not all ${step} themselves, got ${patch.join(",")}`,
  );
}
