// Exact Euclidean distance transform on an anisotropic grid, in time linear in the number of voxels. Squared
// distances separate by axis: a sweep along W, then the lower envelope of parabolas along H and D
// (Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", 2012).

import type { Vec3 } from "./regions.ts";

/** Squared distance in mm² from every voxel of `marked` [D,H,W] to the nearest non-zero one, or Infinity. */
export function squaredDistances(marked: Uint8Array, size: Vec3, spacing: Vec3): Float64Array {
  const [D, H, W] = size;
  const squared = alongRows(marked, W, spacing[2]);
  const alongH = envelope(H, W, spacing[1]);
  for (let d = 0; d < D; d++) for (let w = 0; w < W; w++) alongH(squared, d * H * W + w);
  const alongD = envelope(D, H * W, spacing[0]);
  for (let column = 0; column < H * W; column++) alongD(squared, column);
  return squared;
}

/** Squared distances within each row, by a sweep in each direction. */
function alongRows(marked: Uint8Array, W: number, spacing: number): Float64Array {
  const squared = new Float64Array(marked.length);
  for (let row = 0; row < marked.length; row += W) {
    for (let w = 0, steps = Infinity; w < W; w++) {
      steps = marked[row + w] ? 0 : steps + 1;
      squared[row + w] = steps;
    }
    for (let w = W - 1, steps = Infinity; w >= 0; w--) {
      steps = marked[row + w] ? 0 : steps + 1;
      squared[row + w] = (Math.min(steps, squared[row + w]!) * spacing) ** 2;
    }
  }
  return squared;
}

/**
 * Returns a function that replaces one line of `length` voxels, `stride` apart, by min over q of f(q) + (x -
 * q)². The envelope's parabolas are a stack: the position and height of each, and where it becomes the
 * lowest.
 */
function envelope(length: number, stride: number, spacing: number) {
  const position = new Float64Array(length);
  const height = new Float64Array(length);
  const start = new Float64Array(length);
  return (squared: Float64Array, first: number): void => {
    let top = -1;
    for (let i = 0, at = first; i < length; i++, at += stride) {
      const f = squared[at]!;
      if (f === Infinity) continue;
      const x = i * spacing;
      let crossing = -Infinity;
      while (top >= 0) {
        const [q, g] = [position[top]!, height[top]!];
        crossing = (f - g + x * x - q * q) / (2 * (x - q));
        if (crossing > start[top]!) break;
        top--;
      }
      top++;
      position[top] = x;
      height[top] = f;
      start[top] = top === 0 ? -Infinity : crossing;
    }
    if (top < 0) return;
    for (let i = 0, at = first, k = 0; i < length; i++, at += stride) {
      const x = i * spacing;
      while (k < top && start[k + 1]! <= x) k++;
      squared[at] = height[k]! + (x - position[k]!) ** 2;
    }
  };
}
