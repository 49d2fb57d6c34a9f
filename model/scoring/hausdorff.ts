// HD95 as MedPy defines it: the 95th percentile of the distances in mm from each surface's voxels to the
// other surface, both directions pooled. (The larger of the two directions' percentiles is another, larger
// measure.)

import { squaredDistances } from "./distance.ts";
import { type MaskPair, tighten } from "./masks.ts";
import type { Vec3 } from "./regions.ts";
import { quantile } from "./statistics.ts";

/**
 * HD95 in mm of two masks, neither empty; `spacing` is the size [D,H,W] of a voxel in mm. Throws for an empty
 * mask.
 */
export function hausdorff95(pair: MaskPair, spacing: Vec3): number {
  const box = tighten(pair);
  if (box === null) throw new Error("hausdorff95: expected masks that mark voxels, got an empty one");
  const [a, b] = [surface(box.prediction, box.size), surface(box.reference, box.size)];
  const distances: number[] = [];
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const squared = squaredDistances(to, box.size, spacing);
    for (let i = 0; i < from.length; i++) if (from[i]) distances.push(Math.sqrt(squared[i]!));
  }
  return quantile(Float64Array.from(distances).sort(), 0.95);
}

/**
 * The mask's surface: its voxels with one of their six neighbours outside it. Beyond the array is outside.
 */
export function surface(mask: Uint8Array, [D, H, W]: Vec3): Uint8Array {
  const found = new Uint8Array(mask.length);
  for (let d = 0, i = 0; d < D; d++) {
    for (let h = 0; h < H; h++) {
      for (let w = 0; w < W; w++, i++) {
        if (!mask[i]) continue;
        const border = d === 0 || h === 0 || w === 0 || d === D - 1 || h === H - 1 || w === W - 1;
        const inside =
          !border &&
          mask[i - 1]! & mask[i + 1]! & mask[i - W]! & mask[i + W]! & mask[i - H * W]! & mask[i + H * W]!;
        found[i] = inside ? 0 : 1;
      }
    }
  }
  return found;
}
