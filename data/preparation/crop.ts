// Boxes in volumes: around the brain or fixed, copied out of a volume and back.

import type { Vec3 } from "../nifti/geometry.ts";

/** A box of voxels: its size and first corner, both [D, H, W]. */
export interface Box {
  size: Vec3;
  offset: Vec3;
}

/** The crop of the published ProtoKD code in BraTS's 155x240x240 voxels: [5:145, 24:216, 24:216]. */
export const PUBLISHED_BOX: Box = { size: [140, 192, 192], offset: [5, 24, 24] };

/** Returns the number of voxels of a volume of this size. */
export function voxelCount([depth, height, width]: Vec3): number {
  return depth * height * width;
}

/**
 * Returns the smallest box around all voxels that are nonzero in an image [D, H, W]; at least one voxel must
 * be.
 */
export function boundingBox(images: readonly Float32Array[], size: Vec3): Box {
  const [depth, height, width] = size;
  const low = [depth, height, width] as [number, number, number];
  const high = [-1, -1, -1];
  const extend = (axis: number, at: number) => {
    low[axis] = Math.min(low[axis]!, at);
    high[axis] = Math.max(high[axis]!, at);
  };
  for (const image of images) {
    for (let z = 0, row = 0; z < depth; z++) {
      for (let y = 0; y < height; y++, row += width) {
        let [left, right] = [0, width - 1];
        while (left < width && image[row + left] === 0) left++;
        if (left === width) continue;
        while (image[row + right] === 0) right--;
        extend(0, z);
        extend(1, y);
        extend(2, left);
        extend(2, right);
      }
    }
  }
  const [d, h, w] = high.map((last, axis) => last - low[axis]! + 1) as [number, number, number];
  return { size: [d, h, w], offset: low };
}

/** Copies the box of `whole` [size] into `part` [box.size]. */
export function takeBox<T extends Float32Array | Uint8Array>(whole: T, part: T, size: Vec3, box: Box): void {
  eachRow(size, box, (inWhole, inPart) => part.set(whole.subarray(inWhole, inWhole + box.size[2]), inPart));
}

/** Copies `part` [box.size] into its box of `whole` [size]. */
export function putBox<T extends Float32Array | Uint8Array>(part: T, whole: T, size: Vec3, box: Box): void {
  eachRow(size, box, (inWhole, inPart) => whole.set(part.subarray(inPart, inPart + box.size[2]), inWhole));
}

/** Visits the start of each of the box's rows, in the whole volume and in the box. */
function eachRow(
  [, height, width]: Vec3,
  { size, offset }: Box,
  visit: (whole: number, part: number) => void,
) {
  for (let z = 0; z < size[0]; z++) {
    for (let y = 0; y < size[1]; y++) {
      const row = ((z + offset[0]) * height + y + offset[1]) * width + offset[2];
      visit(row, (z * size[1] + y) * size[2]);
    }
  }
}
