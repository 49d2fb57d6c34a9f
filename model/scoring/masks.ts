// Pairs of binary masks, and cutting them to the box around their marked voxels: volumes are mostly
// background, and no measure depends on it.

import type { Vec3 } from "./regions.ts";

/** A predicted mask and its reference, both [D,H,W] of 0 and 1. */
export interface MaskPair {
  prediction: Uint8Array;
  reference: Uint8Array;
  /** [D,H,W] in voxels. */
  size: Vec3;
}

/** Cuts both masks to the smallest box around all marked voxels of either; `null` for two empty masks. */
export function tighten({ prediction, reference, size }: MaskPair): MaskPair | null {
  const low = [Infinity, Infinity, Infinity];
  const high = [-1, -1, -1];
  const [D, H, W] = size;
  for (let d = 0, i = 0; d < D; d++) {
    for (let h = 0; h < H; h++) {
      for (let w = 0; w < W; w++, i++) {
        if ((prediction[i]! | reference[i]!) === 0) continue;
        if (d < low[0]!) low[0] = d;
        if (h < low[1]!) low[1] = h;
        if (w < low[2]!) low[2] = w;
        if (d > high[0]!) high[0] = d;
        if (h > high[1]!) high[1] = h;
        if (w > high[2]!) high[2] = w;
      }
    }
  }
  if (high[0] === -1) return null;
  const box = [0, 1, 2].map((axis) => high[axis]! - low[axis]! + 1) as unknown as Vec3;
  const cut = (mask: Uint8Array): Uint8Array => crop(mask, size, low, box);
  return { prediction: cut(prediction), reference: cut(reference), size: box };
}

function crop(mask: Uint8Array, [, H, W]: Vec3, origin: readonly number[], size: Vec3): Uint8Array {
  const [depth, height, width] = size;
  const cut = new Uint8Array(depth * height * width);
  for (let d = 0; d < depth; d++) {
    for (let h = 0; h < height; h++) {
      const row = ((d + origin[0]!) * H + h + origin[1]!) * W + origin[2]!;
      cut.set(mask.subarray(row, row + width), (d * height + h) * width);
    }
  }
  return cut;
}
