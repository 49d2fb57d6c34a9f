// The scanners of version 2: each case comes from another one. They differ in the sensitivity of the coil, in
// resolution (a blur, and thick slices in some contrasts), in noise and in gain: white matter gets a
// value between 250 and 1800.

import type { Random } from "../../engine/autograd/random.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import { bell, chance, within } from "./draw.ts";
import { type Field, sample, smoothField } from "./field.ts";
import { BOX, centreOf } from "./pose.ts";
import { blurAlong } from "./scanner.ts";

/** A case's scanner: what its four contrasts have in common. */
export type Scanner = {
  noise: number; // deviation, as a part of white matter's signal
  bias: number; // deviation of the sensitivity over the head
  blur: number; // weight of each neighbour on either side, 0 to 0.25
  sensitivity: Field;
};

/** Draws a scanner. */
export function drawScanner(random: Random): Scanner {
  return {
    noise: within(random, 0.008, 0.035),
    bias: within(random, 0.02, 0.12),
    blur: within(random, 0.02, 0.2),
    sensitivity: smoothField(random, 60),
  };
}

/**
 * Returns the scan of `plane` [D,H,W], which has signals relative to white matter; blurs `plane` in place.
 * The scan is 0 outside the mask and at least 1 inside.
 */
export function scan(
  random: Random,
  { noise, bias, blur, sensitivity }: Scanner,
  plane: Float32Array,
  mask: Uint8Array,
  size: Vec3,
): Int16Array {
  const [D, H, W] = size;
  const level = within(random, 1, 2.7);
  const gain = 250 * level * level;
  const grain = noise * within(random, 0.7, 1.4);
  const [a, b, c] = [0, 0, 0].map(() => bell(random) / BOX) as [number, number, number]; // own sensitivity
  const slices = chance(random, 0.3) ? 3 : 1; // passes of the blur through the slices
  const mix = (before: number, here: number, after: number) =>
    (1 - 2 * blur) * here + blur * (before + after);
  blurAlong(plane, 1, W, mix);
  blurAlong(plane, W, H, mix);
  for (let pass = 0; pass < slices; pass++) blurAlong(plane, W * H, D, mix);
  const centre = { x: 0, y: 0, z: 0 };
  const image = new Int16Array(plane.length);
  for (let at = 0; at < image.length; at++) {
    if (mask[at] === 0) continue;
    centreOf(at, size, centre);
    const { x, y, z } = centre;
    const seen = 1 + bias * (0.8 * sample(sensitivity, x, y, z) + 1.3 * (a * x + b * y + c * z));
    const value = plane[at]! * seen + grain * bell(random);
    image[at] = Math.min(32767, Math.max(1, Math.round(gain * Math.abs(value))));
  }
  return image;
}
