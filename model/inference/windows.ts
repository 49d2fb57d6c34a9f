// Where the windows of a sliding-window prediction begin along an axis, what their voxels weigh, and how volumes are
// mirrored. Weights are products over the axes, so that their sums are too: no volume of weights is kept.

import type { Vec3 } from "../scoring/regions.ts";

/** How windows are laid and weighed. */
export interface Tiling {
  /**
   * `gaussian`, as nnU-Net: evenly spaced, no further than the step, and the nearer a voxel is to a window's middle
   * the more it counts. `uniform`, as the published code: the step exactly, the last window flush with the end, equal
   * weights.
   */
  weighting: "gaussian" | "uniform";
  /** From one window to the next, as a share of the window: above 0, at most 1. */
  step: number;
}

/** The defaults, nnU-Net's. */
export const TILING: Readonly<Tiling> = { weighting: "gaussian", step: 0.5 };

const SIGMA = 1 / 8; // of the window's edge; nnU-Net's

/** The windows along one axis. */
export interface AxisWindows {
  /** Where each begins; before the volume where that is shorter. */
  starts: number[];
  /** Of a window's voxels; never 0. */
  weights: Float64Array;
  /** The sum of weights in each of the volume's voxels. */
  totals: Float64Array;
}

/** The windows of an edge `window` along an axis of `size` voxels. Throws unless the step is above 0 and at most 1. */
export function axisWindows(size: number, window: number, tiling: Partial<Tiling> = {}): AxisWindows {
  const { weighting, step } = { ...TILING, ...tiling };
  if (!(step > 0 && step <= 1)) throw new Error(`step: expected a share above 0, at most 1, got ${step}`);
  const starts = weighting === "gaussian" ? evenly(size, window, step) : flush(size, window, step);
  const middle = (window - 1) / 2; // nnU-Net's is half a voxel off for even windows, ours mirrors exactly
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

/** Where windows begin along all axes, in the volume's order. */
export function windowCorners(size: Vec3, window: Vec3, tiling: Partial<Tiling> = {}): Vec3[] {
  const [zs, ys, xs] = ([0, 1, 2] as const).map(
    (axis) => axisWindows(size[axis], window[axis], tiling).starts,
  ) as [number[], number[], number[]];
  return zs.flatMap((z) => ys.flatMap((y) => xs.map((x): Vec3 => [z, y, x])));
}

/** As few as keep the step, evenly spaced from end to end, to whole voxels. */
function evenly(size: number, window: number, step: number): number[] {
  const room = size - window;
  if (room <= 0) return centred(size, window);
  const gaps = Math.ceil(room / Math.max(1, window * step));
  return Array.from({ length: gaps + 1 }, (_, i) => Math.round((i * room) / gaps));
}

/** The step apart, the last flush with the end. */
function flush(size: number, window: number, step: number): number[] {
  const room = size - window;
  if (room <= 0) return centred(size, window);
  const stride = Math.max(1, Math.floor(window * step));
  return Array.from({ length: Math.ceil(room / stride) + 1 }, (_, i) => Math.min(i * stride, room));
}

/** One window around a shorter axis. */
function centred(size: number, window: number): number[] {
  return size === window ? [0] : [-((window - size) >> 1)];
}

/** Which of the axes D, H, W are turned round. */
export type Mirror = readonly [boolean, boolean, boolean];

/** All reflections, the identity first. */
export const MIRRORS: readonly Mirror[] = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => [
  (bits & 1) > 0,
  (bits & 2) > 0,
  (bits & 4) > 0,
]);

/** Volumes [n, ...size] turned round along the axes of `mirror`: the same array where there is none. */
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
 * Visits the rows that the volume and the window at `corner` share: where each begins in the volume's voxels `at` and
 * in the window's `to`, its length, and the place z, y, x of its first voxel in the window.
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
