// The place of a patch without a tumour.

import type { Random } from "../../engine/autograd/random.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import type { Case } from "../preparation/preprocess.ts";

const TRIES = 100; // corners that are drawn before a case counts as without room

/**
 * Draws the corner of a patch that shows no voxel of a tumour and whose centre is in the brain: there some
 * image differs from its background. Null where none of 100 corners is such: the patch is too large, or the
 * tumour.
 */
export function healthyCorner(prepared: Case, patch: Vec3, random: Random): Vec3 | null {
  const { size, label } = prepared;
  if (!label) return null;
  for (let i = 0; i < TRIES; i++) {
    const corner = size.map((length, axis) => {
      const room = length - patch[axis]!;
      return room < 0 ? Math.ceil(room / 2) : random.integer(room + 1);
    }) as unknown as Vec3;
    if (isBrain(prepared, corner, patch) && isHealthy(label, size, corner, patch)) return corner;
  }
  return null;
}

/** Tells whether a patch's centre is in the brain. */
function isBrain({ images, channels, size, background }: Case, corner: Vec3, patch: Vec3): boolean {
  const [z, y, x] = corner.map((c, axis) => c + (patch[axis]! >> 1)) as [number, number, number];
  const at = (z * size[1] + y) * size[2] + x;
  const voxels = size[0] * size[1] * size[2];
  return channels.some((_, m) => images[m * voxels + at] !== (background?.[m] ?? 0));
}

/** Tells whether a patch shows no voxel of a class above 0. */
function isHealthy(label: Uint8Array, size: Vec3, corner: Vec3, patch: Vec3): boolean {
  const [from, to] = [0, 1].map((end) =>
    corner.map((c, axis) => Math.min(size[axis]!, Math.max(0, c + end * patch[axis]!))),
  ) as [number[], number[]];
  for (let z = from[0]!; z < to[0]!; z++)
    for (let y = from[1]!; y < to[1]!; y++) {
      const row = (z * size[1] + y) * size[2];
      for (let i = row + from[2]!; i < row + to[2]!; i++) if (label[i] !== 0) return false;
    }
  return true;
}
