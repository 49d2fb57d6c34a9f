// Where the phantom's head lies in the scanned box, and the map from the box's voxels to its affine.

import type { Random } from "../../engine/autograd/random.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import type { Point } from "./anatomy.ts";
import { type Field, sample, smoothField } from "./field.ts";

/** The edge of the scanned volume, in mm. */
export const BOX = 160;

/** A head's place: a rotation (3x3, by rows), a shift in mm, a scale for each axis, and a smooth warp. */
export type Pose = { turn: number[]; shift: number[]; scale: Vec3; warps: Field[] };

/** Draws a place for a head of a given scale. */
export function drawPose(random: Random, scale: Vec3): Pose {
  return {
    turn: drawRotation(random),
    shift: [4 * (random.next() - 0.5), 4 * (random.next() - 0.5), 4 * (random.next() - 0.5) + 1],
    scale,
    warps: [smoothField(random, 26), smoothField(random, 26), smoothField(random, 26)],
  };
}

/** Writes the position in mm of a voxel's centre to `out`, 0 in the middle of the box. */
export function centreOf(at: number, [D, H, W]: Vec3, out: Point): void {
  out.x = (((at % W) + 0.5) / W - 0.5) * BOX;
  out.y = (((Math.floor(at / W) % H) + 0.5) / H - 0.5) * BOX;
  out.z = ((Math.floor(at / (W * H)) + 0.5) / D - 0.5) * BOX;
}

/** Writes the point of the head that lies at a point of the box to `out`. */
export function toHead({ turn, shift, scale, warps }: Pose, { x, y, z }: Point, out: Point): void {
  const ux = (x - shift[0]! + 1.7 * sample(warps[0]!, x, y, z)) / scale[0];
  const uy = (y - shift[1]! + 1.7 * sample(warps[1]!, x, y, z)) / scale[1];
  const uz = (z - shift[2]! + 1.7 * sample(warps[2]!, x, y, z)) / scale[2];
  out.x = turn[0]! * ux + turn[1]! * uy + turn[2]! * uz;
  out.y = turn[3]! * ux + turn[4]! * uy + turn[5]! * uz;
  out.z = turn[6]! * ux + turn[7]! * uy + turn[8]! * uz;
}

/**
 * Returns the affine: indices run to the left, to the back and up, as in BraTS; the box lies 40 mm inside
 * BraTS's 240 mm frame.
 */
export function affineOf([D, H, W]: Vec3): number[][] {
  const [dz, dy, dx] = [BOX / D, BOX / H, BOX / W];
  return [
    [-dx, 0, 0, -39.5 - dx / 2],
    [0, -dy, 0, 199.5 - dy / 2],
    [0, 0, dz, dz / 2 - 0.5],
    [0, 0, 0, 1],
  ];
}

// Draws a small rotation about each axis. It uses the tangent of half the angle, and needs no sine.
function drawRotation(random: Random): number[] {
  let turn = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  for (let axis = 0; axis < 3; axis++) {
    const t = 0.07 * (random.next() - 0.5); // +-4 degrees
    const cosine = (1 - t * t) / (1 + t * t);
    const sine = (2 * t) / (1 + t * t);
    const a = (axis + 1) % 3;
    const b = (axis + 2) % 3;
    const next = [...turn];
    for (let column = 0; column < 3; column++) {
      next[3 * a + column] = cosine * turn[3 * a + column]! - sine * turn[3 * b + column]!;
      next[3 * b + column] = sine * turn[3 * a + column]! + cosine * turn[3 * b + column]!;
    }
    turn = next;
  }
  return turn;
}
