// The position of voxels in the patient. An affine maps the voxel (x, y, z), x fastest in the file, to
// millimetres. Sizes and spacings are in the order of the arrays, [D, H, W] = [z, y, x].

import type { Vec3 } from "../../engine/index.ts";
import { largest } from "../../engine/values.ts";
export type { Vec3 };

/** Four rows of four: millimetres = affine · (x, y, z, 1). */
export type Affine = readonly (readonly number[])[];

/** Returns the distance between neighbouring voxels in mm, [D, H, W]: the lengths of the affine's columns. */
export function spacingOf(affine: Affine): Vec3 {
  const length = (axis: number) => Math.hypot(affine[0]![axis]!, affine[1]![axis]!, affine[2]![axis]!);
  return [length(2), length(1), length(0)];
}

/**
 * Returns the largest distance, in mm, between the positions of a corner of a volume of `size` under `a` and
 * `b`.
 */
export function cornerDisplacement(a: Affine, b: Affine, size: Vec3): number {
  let farthest = 0;
  for (let corner = 0; corner < 8; corner++) {
    const voxel = [
      corner & 1 ? size[2] - 1 : 0,
      corner & 2 ? size[1] - 1 : 0,
      corner & 4 ? size[0] - 1 : 0,
      1,
    ];
    const shift = (row: number) =>
      voxel.reduce((sum, position, column) => sum + (b[row]![column]! - a[row]![column]!) * position, 0);
    farthest = Math.max(farthest, Math.hypot(shift(0), shift(1), shift(2)));
  }
  return farthest;
}

/**
 * Returns the determinant of the affine's 3x3 part: negative for mirrored axes, 0 if it cannot be inverted.
 */
export function determinant(affine: Affine): number {
  const [[a, b, c], [d, e, f], [g, h, i]] = affine as [Row, Row, Row];
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}
type Row = [number, number, number];

/**
 * NIfTI's qform: a rotation as the parts b, c, d of a unit quaternion, voxel sizes, sign of the third axis,
 * offset.
 */
export interface Qform {
  quaternion: Vec3; // b, c, d
  pixdim: Vec3; // x, y, z
  qfac: number; // 1 or -1
  offset: Vec3; // x, y, z
}

/** Returns the affine of a qform (nifti1.h, method 2). */
export function affineOfQform({ quaternion, pixdim, qfac, offset }: Qform): number[][] {
  const norm = Math.max(1, Math.hypot(quaternion[0], quaternion[1], quaternion[2]));
  const [b, c, d] = quaternion.map((part) => part / norm) as [number, number, number];
  const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
  const rotation = [
    [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
    [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
    [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
  ];
  const scale = [pixdim[0], pixdim[1], pixdim[2] * qfac];
  return [
    ...rotation.map((row, i) => [...row.map((value, j) => value * scale[j]!), offset[i]!]),
    [0, 0, 0, 1],
  ];
}

/** Returns the qform of an affine, or undefined if the affine shears: a qform cannot express that. */
export function qformOf(affine: Affine): Qform | undefined {
  const [depth, height, width] = spacingOf(affine);
  const pixdim: Vec3 = [width, height, depth];
  const qfac = determinant(affine) < 0 ? -1 : 1;
  const r = [0, 1, 2].map((i) => [0, 1, 2].map((j) => (affine[i]![j]! / pixdim[j]!) * (j === 2 ? qfac : 1)));
  const offset = affine.slice(0, 3).map((row) => row[3]!) as [number, number, number];
  const qform = { quaternion: quaternionOf(r), pixdim, qfac, offset };

  const far = cornerDisplacement(affine, affineOfQform(qform), [2, 2, 2]);
  return far <= 1e-4 * largest(pixdim) ? qform : undefined;
}

/** Formats an affine in one line, for messages. */
export function formatAffine(affine: Affine): string {
  const rows = affine.slice(0, 3).map((row) => `[${row.map((value) => +value.toFixed(4)).join(", ")}]`);
  return `[${rows.join(", ")}]`;
}

/** Formats a size [D, H, W] as files and viewers do: x × y × z. */
export function formatSize([depth, height, width]: Vec3): string {
  return `${width}x${height}x${depth}`;
}

/**
 * Returns the quaternion (b, c, d), a >= 0, of a rotation matrix; divides by the largest of the four parts.
 */
function quaternionOf(r: number[][]): Vec3 {
  const [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]] = r as [Row, Row, Row];
  const squares = [1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz];
  const place = squares.indexOf(largest(squares));
  const twice = Math.sqrt(Math.max(squares[place]!, 0)); // twice the largest part
  const by = (value: number) => value / (2 * twice);
  const parts = [
    [twice / 2, by(zy - yz), by(xz - zx), by(yx - xy)],
    [by(zy - yz), twice / 2, by(yx + xy), by(xz + zx)],
    [by(xz - zx), by(yx + xy), twice / 2, by(zy + yz)],
    [by(yx - xy), by(xz + zx), by(zy + yz), twice / 2],
  ][place]!;
  const sign = parts[0]! < 0 ? -1 : 1;
  return [sign * parts[1]!, sign * parts[2]!, sign * parts[3]!];
}
