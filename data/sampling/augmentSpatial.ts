// Takes a patch out of a volume: copies it if it is only mirrored, samples it if it is turned or scaled too.
// Both read the whole volume, so that a turned patch has no empty corners inside it.

import type { Vec3 } from "../nifti/geometry.ts";

/** The rows of a 3x3 matrix, in the order of the arrays: [D, H, W]. */
export type Matrix = readonly [Vec3, Vec3, Vec3];

/** The position of a patch in a volume. */
export interface Placement {
  /** The first voxel of the patch before it is turned; negative if the volume is smaller. */
  corner: Vec3;
  /** The axes to mirror, after the turn. */
  flip: readonly [boolean, boolean, boolean];
  /** Maps steps in the patch to steps in the volume, both in voxels; null is the identity. */
  turn: Matrix | null;
}

/** A volume with several channels. */
export interface Channels {
  /** D, H, W. */
  size: Vec3;
  /** [channels, D, H, W]. */
  images: Float32Array;
  /** The value outside the volume, by channel; 0 if absent. */
  background?: readonly number[];
}

/**
 * Returns the voxel of a patch about which it is turned: it shows the same voxel of the volume, turned or
 * not.
 */
export function pivot(patch: Vec3): Vec3 {
  const [d, h, w] = patch.map((length) => Math.floor(length / 2)) as [number, number, number];
  return [d, h, w];
}

/**
 * Returns a rotation by angles (radians, about the axes D, H and W) and a scaling: one voxel of the patch is
 * `scale` voxels of the volume, so that objects shrink if it is above 1. The rotation is rigid in
 * millimetres; `spacing` is [D, H, W].
 */
export function turning([about0, about1, about2]: Vec3, scale: number, spacing: Vec3): Matrix {
  const d = rotation(about0, 1, 2);
  const h = rotation(about1, 2, 0);
  const w = rotation(about2, 0, 1);
  const rotated = product(product(d, h), w);
  const row = (i: number): Vec3 => {
    const [a, b, c] = rotated[i]!.map((value, j) => (value * scale * spacing[j]!) / spacing[i]!) as Three;
    return [a, b, c];
  };
  return [row(0), row(1), row(2)];
}

/** Fills `target` [channels, patch] with the placed patch; interpolates trilinearly if it is turned. */
export function takeImages(volume: Channels, target: Float32Array, patch: Vec3, place: Placement): void {
  const voxels = patch[0] * patch[1] * patch[2];
  const count = target.length / voxels;
  const all = volume.images.length / count;
  const outside = Array.from({ length: count }, (_, m) => volume.background?.[m] ?? 0);
  if (place.turn) return sampleImages(volume, outside, target, patch, place);
  for (const [m, value] of outside.entries()) {
    const channel = target.subarray(m * voxels, (m + 1) * voxels).fill(value);
    copyPatch(volume.images.subarray(m * all, (m + 1) * all), volume.size, channel, patch, place);
  }
}

/**
 * Fills `target` [patch] with the placed patch of the labels [size], with 0 outside. In a turned patch a
 * voxel gets the class with the most weight in trilinear interpolation; of equal ones, the lowest.
 */
export function takeLabels(
  label: Uint8Array,
  size: Vec3,
  target: Uint8Array,
  patch: Vec3,
  place: Placement,
): void {
  if (!place.turn) {
    target.fill(0);
    return copyPatch(label, size, target, patch, place);
  }
  const [depth, height, width] = size;
  const [eight, weights] = [new Uint8Array(8), new Float64Array(8)];
  eachRow(patch, place, (row, z, y, x, [dz, dy, dx]) => {
    for (let i = 0; i < patch[2]; i++, z += dz, y += dy, x += dx) {
      const z0 = Math.floor(z);
      const y0 = Math.floor(y);
      const x0 = Math.floor(x);
      let same = true;
      for (let j = 0; j < 8; j++) {
        const zj = z0 + (j >> 2);
        const yj = y0 + ((j >> 1) & 1);
        const xj = x0 + (j & 1);
        const inside = zj >= 0 && yj >= 0 && xj >= 0 && zj < depth && yj < height && xj < width;
        eight[j] = inside ? label[(zj * height + yj) * width + xj]! : 0;
        if (eight[j] !== eight[0]) same = false;
      }
      target[row.start + i * row.step] = same
        ? eight[0]!
        : heaviest(eight, weigh(weights, z - z0, y - y0, x - x0));
    }
  });
}

/** Copies the part of `source` [size] that the patch covers into `target` [patch], and mirrors it. */
function copyPatch(
  source: Float32Array | Uint8Array,
  size: Vec3,
  target: Float32Array | Uint8Array,
  patch: Vec3,
  { corner, flip }: Placement,
): void {
  const from = corner.map((at) => Math.max(0, -at)) as Three;
  const to = corner.map((at, axis) => Math.min(patch[axis]!, size[axis]! - at)) as Three;
  for (let z = from[0]; z < to[0]; z++) {
    for (let y = from[1]; y < to[1]; y++) {
      const row = ((z + corner[0]) * size[1] + y + corner[1]) * size[2] + corner[2];
      const values = source.subarray(row + from[2], row + to[2]);
      const [tz, ty] = [flip[0] ? patch[0] - 1 - z : z, flip[1] ? patch[1] - 1 - y : y];
      const start = (tz * patch[1] + ty) * patch[2];
      if (!flip[2]) target.set(values, start + from[2]);
      else for (let x = 0; x < values.length; x++) target[start + patch[2] - 1 - from[2] - x] = values[x]!;
    }
  }
}

function sampleImages(
  { size: [depth, height, width], images }: Channels,
  outside: readonly number[],
  target: Float32Array,
  patch: Vec3,
  place: Placement,
): void {
  const [all, voxels] = [depth * height * width, patch[0] * patch[1] * patch[2]];
  const count = outside.length;
  const [right, down] = [width, height * width]; // to the next row, and the next plane
  eachRow(patch, place, (row, z, y, x, [dz, dy, dx]) => {
    for (let i = 0; i < patch[2]; i++, z += dz, y += dy, x += dx) {
      const at = row.start + i * row.step;
      const z0 = Math.floor(z);
      const y0 = Math.floor(y);
      const x0 = Math.floor(x);
      const fz = z - z0;
      const fy = y - y0;
      const fx = x - x0;
      if (z0 >= 0 && y0 >= 0 && x0 >= 0 && z0 < depth - 1 && y0 < height - 1 && x0 < width - 1) {
        let here = (z0 * height + y0) * width + x0;
        for (let m = 0; m < count; m++, here += all) {
          const under = here + down;
          const near = between(
            between(images[here]!, images[here + 1]!, fx),
            between(images[here + right]!, images[here + right + 1]!, fx),
            fy,
          );
          const far = between(
            between(images[under]!, images[under + 1]!, fx),
            between(images[under + right]!, images[under + right + 1]!, fx),
            fy,
          );
          target[m * voxels + at] = between(near, far, fz);
        }
        continue;
      }
      for (let m = 0; m < count; m++) {
        const value = (zi: number, yi: number, xi: number) =>
          zi >= 0 && yi >= 0 && xi >= 0 && zi < depth && yi < height && xi < width
            ? images[m * all + (zi * height + yi) * width + xi]!
            : outside[m]!;
        const line = (zi: number, yi: number) => between(value(zi, yi, x0), value(zi, yi, x0 + 1), fx);
        const plane = (zi: number) => between(line(zi, y0), line(zi, y0 + 1), fy);
        target[m * voxels + at] = between(plane(z0), plane(z0 + 1), fz);
      }
    }
  });
}

/** A row of a patch: the index of its first voxel before mirroring, and the step to the next. */
interface Row {
  start: number;
  step: 1 | -1;
}

/**
 * Visits every row of the patch, with the volume's point at its first voxel and the step to the next point.
 */
function eachRow(
  patch: Vec3,
  { corner, flip, turn }: Placement,
  show: (row: Row, z: number, y: number, x: number, step: Vec3) => void,
): void {
  const [[zz, zy, zx], [yz, yy, yx], [xz, xy, xx]] = turn!;
  const about = pivot(patch);
  const [cz, cy, cx] = corner.map((at, axis) => at + about[axis]!) as Three;
  for (let z = 0; z < patch[0]; z++) {
    for (let y = 0; y < patch[1]; y++) {
      const [dz, dy, dx] = [z - about[0], y - about[1], -about[2]];
      const [tz, ty] = [flip[0] ? patch[0] - 1 - z : z, flip[1] ? patch[1] - 1 - y : y];
      const first = (tz * patch[1] + ty) * patch[2];
      show(
        flip[2] ? { start: first + patch[2] - 1, step: -1 } : { start: first, step: 1 },
        cz + zz * dz + zy * dy + zx * dx,
        cy + yz * dz + yy * dy + yx * dx,
        cx + xz * dz + xy * dy + xx * dx,
        [zx, yx, xx],
      );
    }
  }
}

/** Interpolates linearly; returns exactly `a` if both are equal, as in a background. */
function between(a: number, b: number, share: number): number {
  return a + share * (b - a);
}

/** Writes the weights of the eight neighbours of a point to `weights`, in the order of their indices. */
function weigh(weights: Float64Array, fz: number, fy: number, fx: number): Float64Array {
  for (let i = 0; i < 8; i++) {
    weights[i] = (i & 4 ? fz : 1 - fz) * (i & 2 ? fy : 1 - fy) * (i & 1 ? fx : 1 - fx);
  }
  return weights;
}

/** Returns the class with the largest total weight; of equal ones, the lowest. */
function heaviest(classes: Uint8Array, weights: Float64Array): number {
  let [best, most] = [0, -1];
  for (let i = 0; i < 8; i++) {
    let weight = 0;
    for (let j = 0; j < 8; j++) if (classes[j] === classes[i]) weight += weights[j]!;
    if (weight > most || (weight === most && classes[i]! < best)) [best, most] = [classes[i]!, weight];
  }
  return best;
}

type Three = [number, number, number];

/** Returns the rotation of the axis `from` towards `to`. */
function rotation(angle: number, from: number, to: number): Matrix {
  const rows: [Three, Three, Three] = [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ];
  rows[from]![from] = rows[to]![to] = Math.cos(angle);
  rows[to]![from] = Math.sin(angle);
  rows[from]![to] = -rows[to]![from];
  return rows;
}

function product(a: Matrix, b: Matrix): Matrix {
  const entry = (i: number, j: number) => a[i]![0] * b[0][j]! + a[i]![1] * b[1][j]! + a[i]![2] * b[2][j]!;
  const row = (i: number): Vec3 => [entry(i, 0), entry(i, 1), entry(i, 2)];
  return [row(0), row(1), row(2)];
}
