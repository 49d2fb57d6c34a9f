// Compares the grids of a case's volumes: shapes must agree, and affines but for rounding.

import { cornerDisplacement, formatAffine, formatSize } from "../nifti/geometry.ts";
import type { Volume } from "../nifti/nifti.ts";

/**
 * Whose affine a volume has: its own file's, or, where shapes agree, that of the case's first image. The
 * latter is for files with correct voxels but a wrong header.
 */
export const AFFINES = ["file", "image"] as const;
export type AffineChoice = (typeof AFFINES)[number];

/**
 * The largest distance, in mm, between the corners of two volumes of a case: headers are rounded. ITK's
 * filters refuse more than a millionth of a voxel; nnU-Net warns, from 1e-5 of each number on.
 */
export const CLOSE_ENOUGH = 0.01;

/** A volume of a case; `what` names it in messages: "t1 (case_t1.nii.gz)". */
export interface Placed {
  what: string;
  volume: Pick<Volume, "size" | "affine">;
}

/**
 * Adds a problem if two volumes of the case `where` do not have the same grid. A volume that takes the affine
 * of the first gives a warning instead.
 */
export function compareGrids(
  first: Placed,
  other: Placed,
  { where, affine = "file" }: { where: string; affine?: AffineChoice },
  { problems, warnings }: { problems: string[]; warnings: string[] },
): void {
  const [a, b] = [first.volume, other.volume];
  const remedy = `register or resample the volumes of ${where} to one grid`;
  if (a.size.some((length, axis) => length !== b.size[axis])) {
    const expected = `expected the shape ${formatSize(a.size)} of ${first.what}`;
    problems.push(`${other.what}: ${expected}, got ${formatSize(b.size)}: ${remedy}`);
    return;
  }
  const apart = cornerDisplacement(a.affine, b.affine, a.size);
  if (apart <= CLOSE_ENOUGH) return;
  const moves = `moves a corner by ${apart.toFixed(2)} mm`;
  if (affine === "image") {
    warnings.push(`${other.what}: takes the affine of ${first.what} (--affine image); its own ${moves}`);
    return;
  }
  const expected = `expected the affine of ${first.what}, ${formatAffine(a.affine)}`;
  const got = `got ${formatAffine(b.affine)}, which ${moves}`;
  problems.push(`${other.what}: ${expected}, ${got}: ${headerRemedy(first.what)}; if not, ${remedy}`);
}

/** Returns the advice on a file that differs from `first` in its affine alone. */
export function headerRemedy(first: string): string {
  return (
    "the shapes agree, so perhaps only its header is wrong: if a viewer shows that the voxels match, copy " +
    `the header of ${first} into it, or use --affine image, which takes the affine of ${first}`
  );
}
