// The windows of sliding-window prediction: their positions and weights along each axis, and mirroring of
// volumes. A voxel's weight is a product over the axes, and so is the sum of weights: no volume of weights is
// needed.

import type { Vec3 } from "../scoring/regions.ts";

/** How windows are placed and weighted. */
export interface Tiling {
  /**
   * `gaussian`, as in nnU-Net: evenly spaced windows, at most a step apart, with more weight near their
   * centres. `uniform`, as in the published code: windows exactly a step apart, the last one flush with the
   * end, equal weights.
   */
  weighting: "gaussian" | "uniform";
  /** The distance of windows, as a share of the window: above 0, at most 1. */
  step: number;
}

/** The defaults, nnU-Net's. */
export const TILING: Readonly<Tiling> = { weighting: "gaussian", step: 0.5 };

const SIGMA = 1 / 8; // as a share of the window's edge; nnU-Net's value

/** The windows along one axis. */
export interface AxisWindows {
  /** Where each window begins; negative if the volume is smaller than the window. */
  starts: number[];
  /** The weights of a window's voxels; never 0. */
  weights: Float64Array;
  /** The sum of weights in each voxel of the volume. */
  totals: Float64Array;
}

/**
 * The windows of `window` voxels along an axis of `size` voxels. Throws unless the step is above 0 and at
 * most 1.
 */
export function axisWindows(size: number, window: number, tiling: Partial<Tiling> = {}): AxisWindows {
  const { weighting, step } = { ...TILING, ...tiling };
  if (!(step > 0 && step <= 1)) throw new Error(`step: expected a share above 0, at most 1, got ${step}`);
  const starts = weighting === "gaussian" ? evenly(size, window, step) : flush(size, window, step);
  const middle = (window - 1) / 2; // symmetric; nnU-Net's is half a voxel off for even windows
  const weights = Float64Array.from({ length: window }, (_, i) =>
    weighting === "gaussian" ? Math.exp(-(((i - middle) / (SIGMA * window)) ** 2) / 2) : 1,
  );
  const totals = new Float64Array(size);
  for (const start of starts) {
    for (let v = Math.max(0, start); v < Math.min(size, start + window); v++)
      totals[v]! += weights[v - start]!;
  }
  return { starts, weights, totals };
}

/** The corners of all windows, in the volume's order. */
export function windowCorners(size: Vec3, window: Vec3, tiling: Partial<Tiling> = {}): Vec3[] {
  const [zs, ys, xs] = ([0, 1, 2] as const).map(
    (axis) => axisWindows(size[axis], window[axis], tiling).starts,
  ) as [number[], number[], number[]];
  return zs.flatMap((z) => ys.flatMap((y) => xs.map((x): Vec3 => [z, y, x])));
}

/** As few windows as the step allows, evenly spaced from end to end, at whole voxels. */
function evenly(size: number, window: number, step: number): number[] {
  const room = size - window;
  if (room <= 0) return centred(size, window);
  const gaps = Math.ceil(room / Math.max(1, window * step));
  return Array.from({ length: gaps + 1 }, (_, i) => Math.round((i * room) / gaps));
}

/** Windows exactly a step apart, the last one flush with the end. */
function flush(size: number, window: number, step: number): number[] {
  const room = size - window;
  if (room <= 0) return centred(size, window);
  const stride = Math.max(1, Math.floor(window * step));
  return Array.from({ length: Math.ceil(room / stride) + 1 }, (_, i) => Math.min(i * stride, room));
}

/** One window, centred on an axis that is not longer. */
function centred(size: number, window: number): number[] {
  return size === window ? [0] : [-((window - size) >> 1)];
}

/** The axes D, H, W to mirror. */
export type Mirror = readonly [boolean, boolean, boolean];

/** All reflections, the identity first. */
export const MIRRORS: readonly Mirror[] = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => [
  (bits & 1) > 0,
  (bits & 2) > 0,
  (bits & 4) > 0,
]);

/** Mirrors volumes [n, ...size] along the axes of `mirror`; the same array if no axis is mirrored. */
export function mirrored(volumes: Float32Array, size: Vec3, mirror: Mirror): Float32Array {
  if (!mirror.includes(true)) return volumes;
  const [depth, height, width] = size;
  const turned = new Float32Array(volumes.length);
  for (let row = 0; row * width < volumes.length; row++) {
    const [y, z] = [row % height, Math.floor(row / height) % depth];
    const slab = row - y - z * height;
    const from = slab + (mirror[0] ? depth - 1 - z : z) * height + (mirror[1] ? height - 1 - y : y);
    turned.set(volumes.subarray(from * width, (from + 1) * width), row * width);
    if (mirror[2]) turned.subarray(row * width, (row + 1) * width).reverse();
  }
  return turned;
}

/**
 * Visits the rows that the volume and the window at `corner` share: the index of a row's first voxel in the
 * volume (`at`) and in the window (`to`), its length, and its first voxel's place z, y, x in the window.
 */
export function eachRow(
  size: Vec3,
  window: Vec3,
  corner: Vec3,
  visit: (at: number, to: number, length: number, z: number, y: number, x: number) => void,
): void {
  const start = corner.map((c) => Math.max(0, -c)) as [number, number, number];
  const end = corner.map((c, axis) => Math.min(window[axis]!, size[axis]! - c)) as [number, number, number];
  const [, , x] = start;
  for (let z = start[0]; z < end[0]; z++) {
    for (let y = start[1]; y < end[1]; y++) {
      const at = ((z + corner[0]) * size[1] + y + corner[1]) * size[2] + corner[2] + x;
      visit(at, (z * window[1] + y) * window[2] + x, end[2] - x, z, y, x);
    }
  }
}
