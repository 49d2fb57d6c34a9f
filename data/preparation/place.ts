// Where a box of a prepared case lies in its file and in the patient.

import { type Affine, type Vec3 } from "../nifti/geometry.ts";
import { readHeader } from "../nifti/header.ts";
import type { Case } from "./preprocess.ts";

/** A box by its centre, and by its voxels in the file, counted from 0; all are x, y, z. */
export interface Place {
  /** In mm: right, anterior and superior count up (RAS+). */
  centre: Vec3;
  /** The box's lowest voxel; negative where it begins before the image. */
  first: Vec3;
  /** The number of voxels along each axis. */
  size: Vec3;
}

type Prepared = Pick<Case, "id" | "size" | "turn" | "source">;

/** Returns the place of the box [D, H, W] of `size` at the voxel `corner` of a prepared case. */
export function placeOf({ id, size: all, turn, source }: Prepared, corner: Vec3, size: Vec3): Place {
  const [first, length] = [[...source.offset], [...size]];
  for (const [i, at] of corner.entries()) {
    const axis = turn ? turn.order[i]! : i;
    first[axis]! += turn?.flip[i] ? all[i]! - at - size[i]! : at;
    length[axis] = size[i]!;
  }
  const middle = first.map((at, axis) => at + (length[axis]! - 1) / 2).reverse();
  return {
    centre: millimetres(readHeader(source.header, id).affine, middle),
    first: first.reverse() as unknown as Vec3,
    size: length.reverse() as unknown as Vec3,
  };
}

/** Returns the place in mm of a voxel x, y, z. */
function millimetres(affine: Affine, voxel: readonly number[]): Vec3 {
  const rows = affine.slice(0, 3).map((row) => {
    return row[3]! + voxel.reduce((sum, at, column) => sum + row[column]! * at, 0);
  });
  return rows as unknown as Vec3;
}
