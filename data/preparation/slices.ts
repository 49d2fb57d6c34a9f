// Axial slices for display: the choice of a slice, and its grey values.

import type { Vec3 } from "../nifti/geometry.ts";

/** Returns the axial slice with the largest labelled area; the middle one if the label [D,H,W] is empty. */
export function chooseSlice(label: Uint8Array, [D, H, W]: Vec3): number {
  let [best, largest] = [D >> 1, 0];
  for (let d = 0; d < D; d++) {
    let area = 0;
    for (let i = d * H * W; i < (d + 1) * H * W; i++) if (label[i]) area++;
    if (area > largest) [best, largest] = [d, area];
  }
  return best;
}

/**
 * Returns the brightness, 0 to 255, of each voxel of a slice. Greys run from the 1st to the 99.5th percentile
 * of the nonzero voxels. Voxels of exactly 0 (the air of raw and of normalised scans) and non-finite ones are
 * black.
 */
export function greysOf(slice: Float32Array): Float64Array {
  const tissue = slice.filter((value) => value !== 0).sort();
  const low = tissue[Math.floor(0.01 * (tissue.length - 1))] ?? 0;
  const high = tissue[Math.floor(0.995 * (tissue.length - 1))] ?? 1;
  return Float64Array.from(slice, (value) => {
    const scaled = value === 0 ? 0 : (255 * (value - low)) / Math.max(high - low, 1e-12);
    return Math.min(255, Math.max(0, Number.isFinite(scaled) ? scaled : 0));
  });
}
