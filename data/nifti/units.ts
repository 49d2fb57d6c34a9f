// The unit of a header's lengths. Volumes are in millimetres, whatever the unit of their file; voxel sizes
// that no scan of a head has are refused where millimetres matter.

import { DataError } from "../errors.ts";
import type { Vec3 } from "./geometry.ts";

/** A unit of length, and how many millimetres it is. */
export interface Unit {
  name: string;
  millimetres: number;
}

export const MILLIMETRE: Unit = { name: "mm", millimetres: 1 };

/** NIfTI's codes of lengths: the lowest three bits of xyzt_units. */
const UNITS: ReadonlyMap<number, Unit> = new Map([
  [1, { name: "metres", millimetres: 1000 }],
  [3, { name: "micrometres", millimetres: 1e-3 }],
]);

/** Returns the unit of xyzt_units; millimetres, as in other programs, where the header does not name one. */
export function unitOf(xyztUnits: number): Unit {
  return UNITS.get(xyztUnits & 7) ?? MILLIMETRE;
}

/** Returns an affine from voxels to `unit` as one to millimetres. */
export function inMillimetres(affine: number[][], { millimetres }: Unit): number[][] {
  if (millimetres === 1) return affine;
  return affine.map((row, i) => (i < 3 ? row.map((value) => value * millimetres) : row));
}

/**
 * The sides of a voxel, in mm, that a scan of a head can have. The finest whole brain that was imaged has
 * 0.1 mm (Edlow et al., 2019), and localizers have slices of about 10 mm: both limits leave a factor of two,
 * and a unit that is wrong is off by a thousand.
 */
const PLAUSIBLE = { least: 0.05, most: 20 };

/** The part of a volume that says how large its voxels are; [D, H, W] in mm. */
export interface Spaced {
  spacing: Vec3;
  unit: Unit;
}

/** Returns the problem with the voxel sizes of the volume `what`, or null if a head can have them. */
export function spacingProblem({ spacing, unit }: Spaced, what: string): string | null {
  const { least, most } = PLAUSIBLE;
  if (spacing.every((side) => side >= least && side <= most)) return null;
  const sides = (scale: number) => [...spacing].reverse().map((side) => `${+(side / scale).toPrecision(4)}`);
  const header = `its header says ${sides(unit.millimetres).join("x")} ${unit.name}`;
  const remedy =
    unit.millimetres === 1
      ? "correct the voxel sizes or the unit (xyzt_units) in its header"
      : "correct the unit in its header (xyzt_units; 2 is mm), or its voxel sizes";
  return `${what}: expected voxels of ${least} to ${most} mm a side, got ${sides(1).join("x")} mm (${header}): ${remedy}`;
}

/** Throws a DataError if no head can have the voxel sizes of the volume `what`. */
export function requirePlausible(volume: Spaced, what: string): void {
  const problem = spacingProblem(volume, what);
  if (problem !== null) throw new DataError(problem);
}

/** Returns a note that the lengths of the volume `what` were converted, or null if they are in mm. */
export function unitNote({ spacing, unit }: Spaced, what: string): string | null {
  if (unit.millimetres === 1) return null;
  const mm = [...spacing].reverse().map((side) => +side.toPrecision(4));
  return `${what}: its header is in ${unit.name}: its voxels are taken as ${mm.join("x")} mm`;
}
