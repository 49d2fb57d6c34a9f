// The positions of the classes of a label, for patches that must show one. They are cached by label; for
// large classes only an evenly spaced sample is kept.

import type { Random } from "../../engine/autograd/random.ts";
import type { Vec3 } from "../nifti/geometry.ts";

/** The most voxels that are kept of a class. */
export const REMEMBERED = 10_000;

/** The most bytes that are remembered of a label of BraTS's three classes, in each thread. */
export const FOREGROUND_BYTES = 3 * 4 * REMEMBERED;

/** The indices of the voxels of each class, by label. */
const known = new WeakMap<Uint8Array, Uint32Array[]>();

/**
 * Draws a foreground voxel (z, y, x) of `label` [size]: first a class, each with equal probability as in
 * nnU-Net, then one of its voxels. Returns null if the whole label is 0.
 */
export function foregroundOf(label: Uint8Array, size: Vec3, random: Random): Vec3 | null {
  const classes = known.get(label) ?? locate(label);
  known.set(label, classes);
  if (!classes.length) return null;
  const voxels = classes[random.integer(classes.length)]!;
  const index = voxels[random.integer(voxels.length)]!;
  const [row, x] = [Math.floor(index / size[2]), index % size[2]];
  return [Math.floor(row / size[1]), row % size[1], x];
}

/** Returns the voxels of every class except 0, in order; at most REMEMBERED of each, at even distances. */
function locate(label: Uint8Array): Uint32Array[] {
  const counts = new Uint32Array(256);
  for (const value of label) counts[value]!++;
  const found = [...counts.keys()].filter((value) => value > 0 && counts[value]! > 0);
  const classes = new Map(
    found.map((value) => [value, new Uint32Array(Math.min(REMEMBERED, counts[value]!))]),
  );
  const [seen, kept] = [new Uint32Array(256), new Uint32Array(256)];
  for (let index = 0; index < label.length; index++) {
    const value = label[index]!;
    if (value === 0) continue;
    const voxels = classes.get(value)!;
    const due = Math.floor((kept[value]! * counts[value]!) / voxels.length);
    if (seen[value]!++ === due && kept[value]! < voxels.length) voxels[kept[value]!++] = index;
  }
  return [...classes.values()];
}
