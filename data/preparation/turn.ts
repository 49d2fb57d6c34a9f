// Turns volumes from one orientation to another: a network has learnt the axes of its training data, so a
// case in another orientation is turned before it, and its prediction is turned back.

import type { Vec3 } from "../nifti/geometry.ts";

type Axis = 0 | 1 | 2;

/** Axis i of the turned array [D, H, W] is axis `order[i]` of the source, reversed where `flip[i]`. */
export interface Turn {
  order: readonly [Axis, Axis, Axis];
  flip: readonly [boolean, boolean, boolean];
}

const PAIRS = ["RL", "AP", "SI"];
const pairOf = (end: string) => PAIRS.find((pair) => pair.includes(end));

/**
 * Returns the turn of an array from one orientation to another, each named as by `orientationOf` (LPS and so
 * on: x, y, z); null if they are the same.
 */
export function turnBetween(from: string, to: string): Turn | null {
  if (from === to) return null;
  const ends = (orientation: string) => [...orientation].reverse(); // z, y, x: the axes of arrays
  const [before, after] = [ends(from), ends(to)];
  const order = after.map((end) => before.findIndex((other) => pairOf(other) === pairOf(end)));
  const flip = after.map((end, i) => before[order[i]!] !== end);
  return { order: order as unknown as Turn["order"], flip: flip as unknown as Turn["flip"] };
}

/** Returns the turn that undoes `turn`. */
export function inverse({ order, flip }: Turn): Turn {
  const back = [0, 1, 2].map((axis) => order.indexOf(axis as Axis));
  return {
    order: back as unknown as Turn["order"],
    flip: back.map((axis) => flip[axis]!) as unknown as Turn["flip"],
  };
}

/** Returns a size or spacing [D, H, W] after the turn. */
export function turnedSize(size: Vec3, { order }: Turn): Vec3 {
  return order.map((axis) => size[axis]) as unknown as Vec3;
}

/** Returns the turned copy of a volume [D, H, W] of `size`. */
export function turnedVolume<T extends Float32Array | Uint8Array>(volume: T, size: Vec3, turn: Turn): T {
  const { order, flip } = turn;
  const strides = [size[1] * size[2], size[2], 1];
  const [depth, height, width] = turnedSize(size, turn);
  const step = order.map((axis, i) => (flip[i] ? -strides[axis]! : strides[axis]!)) as [
    number,
    number,
    number,
  ];
  const start = order.reduce<number>(
    (sum, axis, i) => sum + (flip[i] ? (size[axis] - 1) * strides[axis]! : 0),
    0,
  );
  const result = new (volume.constructor as new (length: number) => T)(volume.length);
  for (let z = 0, at = 0; z < depth; z++) {
    for (let y = 0; y < height; y++) {
      let from = start + z * step[0] + y * step[1];
      for (let x = 0; x < width; x++, from += step[2]) result[at++] = volume[from]!;
    }
  }
  return result;
}
