// The scanner of version 1 turns a tissue's signal into the value in the file: a blur of a fraction of a
// voxel, a sensitivity that varies slowly over the head, noise of a magnitude image (Rician), and a separate
// gain for every modality of every case: white matter gets a value between 250 and 1800.

import type { Random } from "../../engine/autograd/random.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import { bell } from "./draw.ts";
import { sample, smoothField } from "./field.ts";
import { centreOf } from "./pose.ts";

/**
 * Returns the scan of `plane` [D,H,W], which has signals relative to white matter; blurs `plane` in place.
 * The scan is 0 outside the mask and at least 1 inside.
 */
export function acquire(random: Random, plane: Float32Array, mask: Uint8Array, size: Vec3): Int16Array {
  const [D, H, W] = size;
  const centre = { x: 0, y: 0, z: 0 };
  const level = 1 + 1.7 * random.next();
  const gain = 250 * level * level;
  const noise = 0.025 + 0.025 * random.next();
  const sensitivity = smoothField(random, 60);
  blurAlong(plane, 1, W, lightly);
  blurAlong(plane, W, H, lightly);
  blurAlong(plane, W * H, D, lightly);
  const image = new Int16Array(plane.length);
  for (let at = 0; at < image.length; at++) {
    if (mask[at] === 0) continue;
    centreOf(at, size, centre);
    const real = plane[at]! * (1 + 0.08 * sample(sensitivity, centre.x, centre.y, centre.z)) + noise * bell(random);
    const imaginary = noise * bell(random);
    const magnitude = Math.sqrt(real * real + imaginary * imaginary);
    image[at] = Math.min(32767, Math.max(1, Math.round(gain * magnitude)));
  }
  return image;
}

// (1, 6, 1) / 8
function lightly(before: number, here: number, after: number): number {
  return 0.125 * (before + 6 * here + after);
}

/** Mixes each voxel with its two neighbours along one axis, in place; the ends stay the same. */
export function blurAlong(
  plane: Float32Array,
  stride: number,
  length: number,
  mix: (before: number, here: number, after: number) => number,
): void {
  const block = stride * length;
  for (let start = 0; start < plane.length; start += block) {
    for (let line = start; line < start + stride; line++) {
      let before = plane[line]!;
      for (let at = line + stride; at < line + block - stride; at += stride) {
        const here = plane[at]!;
        plane[at] = mix(before, here, plane[at + stride]!);
        before = here;
      }
    }
  }
}
