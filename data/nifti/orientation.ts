// How a volume lies in the patient, in the three letters that viewers and nibabel use: where each of the
// array's axes x, y, z points to (right or left, anterior or posterior, superior or inferior).

import type { Affine } from "./geometry.ts";

/** Ends of the world's axes: towards its positive side, and its negative one. */
const ENDS = [
  ["R", "L"],
  ["A", "P"],
  ["S", "I"],
] as const;

/** Which of the world's axes each of the array's may be: all orders. */
const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;

/** "RAS", "LPS" and so on, of an affine that can be inverted; of an oblique one, the nearest. */
export function orientationOf(affine: Affine): string {
  const { order } = nearest(affine);
  return order.map((world, axis) => ENDS[world]![affine[world]![axis]! >= 0 ? 0 : 1]).join("");
}

/** The angle in degrees between the array's axis that fits worst and the patient's that is nearest to it. */
export function obliqueness(affine: Affine): number {
  const { order, cosines } = nearest(affine);
  const least = Math.min(...order.map((world, axis) => cosines[world]![axis]!));
  return (Math.acos(Math.min(1, least)) * 180) / Math.PI;
}

/** The order of axes whose cosines are the largest together. */
function nearest(affine: Affine): { order: readonly (0 | 1 | 2)[]; cosines: number[][] } {
  const lengths = [0, 1, 2].map((axis) => Math.hypot(...[0, 1, 2].map((world) => affine[world]![axis]!)));
  const cosines = [0, 1, 2].map((world) =>
    lengths.map((length, axis) => Math.abs(affine[world]![axis]!) / length),
  );
  const fit = (order: readonly number[]) =>
    order.reduce((sum, world, axis) => sum + cosines[world]![axis]!, 0);
  return { order: ORDERS.reduce((best, order) => (fit(order) > fit(best) ? order : best)), cosines };
}
