// The orientation of a volume in the patient, in the three letters of viewers and nibabel: the direction of
// the array's axes x, y, z (right or left, anterior or posterior, superior or inferior).

import { smallest } from "../../engine/values.ts";
import type { Affine } from "./geometry.ts";

/** The positive and the negative end of each patient axis. */
const ENDS = [
  ["R", "L"],
  ["A", "P"],
  ["S", "I"],
] as const;

/** All orders of the patient axes along the array's. */
const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;

/** Returns "RAS", "LPS" and so on for an invertible affine; for an oblique one, the nearest. */
export function orientationOf(affine: Affine): string {
  const { order } = nearest(affine);
  return order.map((world, axis) => ENDS[world]![affine[world]![axis]! >= 0 ? 0 : 1]).join("");
}

/** True for the three letters of an orientation: each of left-right, front-back and up-down once. */
export function isOrientation(text: string): boolean {
  const worlds = [...text].map((end) => ENDS.findIndex((pair) => pair.some((other) => other === end)));
  return [...worlds].sort().join() === "0,1,2";
}

/** Returns the largest angle, in degrees, between an array axis and its nearest patient axis. */
export function obliqueness(affine: Affine): number {
  const { order, cosines } = nearest(affine);
  const least = smallest(order.map((world, axis) => cosines[world]![axis]!));
  return (Math.acos(Math.min(1, least)) * 180) / Math.PI;
}

/** Returns the order of patient axes with the largest sum of cosines. */
function nearest(affine: Affine): { order: readonly (0 | 1 | 2)[]; cosines: number[][] } {
  const [x, y, z] = affine as readonly [readonly number[], readonly number[], readonly number[]];
  const lengths = [0, 1, 2].map((axis) => Math.hypot(x[axis]!, y[axis]!, z[axis]!));
  const cosines = [0, 1, 2].map((world) =>
    lengths.map((length, axis) => Math.abs(affine[world]![axis]!) / length),
  );
  const fit = (order: readonly number[]) =>
    order.reduce((sum, world, axis) => sum + cosines[world]![axis]!, 0);
  return { order: ORDERS.reduce((best, order) => (fit(order) > fit(best) ? order : best)), cosines };
}
