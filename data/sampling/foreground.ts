// Where the classes of a label are, for patches that must show one: remembered case by case, and of large classes
// only an even sample.

import type { Random } from "../../engine/autograd/random.ts";
import type { Vec3 } from "../nifti/geometry.ts";

/** How many voxels of a class are remembered. */
export const REMEMBERED = 10_000;

/** By label: by class, the indices of its voxels. */
const known = new WeakMap<Uint8Array, Uint32Array[]>();

/**
 * A voxel (z, y, x) of a class but 0 in `label` [size]: every class that is there is drawn equally often, as nnU-Net
 * does, and so are its voxels. Null where all is 0.
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

/** The voxels of every class but 0 that is there, in order; of more than REMEMBERED, so many at even distances. */
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
