// Smooth random functions of space, for the phantom: random coefficients on a coarse lattice, smoothed once
// by cubic B-splines onto a finer grid, then sampled by trilinear interpolation. Positions are in mm, so that
// one draw gives the same shapes at every volume size. Only sums, products and square roots are used: every
// machine rounds these the same way.

import type { Random } from "../../engine/autograd/random.ts";

/** Values on a cubic grid around the origin, with `points` values per side, `step` mm apart. */
export type Field = { values: Float32Array; points: number; step: number };

// The grid spans -REACH..REACH mm on each axis; beyond it the value at the border is repeated.
const REACH = 92;
// The deviation of a cubic B-spline sum of unit-variance coefficients, averaged over a cell: 0.479^1.5.
const SPLINE_DEVIATION = 0.3317;

/**
 * Draws a smooth field of mean 0 and deviation 1, with lattice points `knot` mm apart (period about 2.6
 * knots), and `fineness` points of the finer grid per knot.
 */
export function smoothField(random: Random, knot: number, fineness = 2.5): Field {
  const step = knot / fineness;
  const points = Math.ceil((2 * REACH) / step) + 1;
  const knots = Math.ceil(((points - 1) * step) / knot) + 4;
  let values = new Float32Array(knots ** 3);
  const spread = (2 * Math.sqrt(3)) / SPLINE_DEVIATION; // of a uniform draw
  for (let i = 0; i < values.length; i++) values[i] = (random.next() - 0.5) * spread;
  for (let axis = 0; axis < 3; axis++) values = upsampleFirstAxis(values, knots, points, step / knot);
  return { values, points, step };
}

/** Returns a field of zeros, with grid points `step` mm apart, for `stamp` to fill. */
export function emptyField(step: number): Field {
  const points = Math.ceil((2 * REACH) / step) + 1;
  return { values: new Float32Array(points ** 3), points, step };
}

/**
 * Raises the field to 1 in a ball of `radius` mm around (x, y, z), falling to 0 over one grid step at its
 * surface.
 */
export function stamp(field: Field, x: number, y: number, z: number, radius: number): void {
  const { values, points, step } = field;
  const low = (v: number) => Math.max(0, Math.ceil((v + REACH - radius) / step - 1));
  const high = (v: number) => Math.min(points - 1, Math.floor((v + REACH + radius) / step + 1));
  for (let k = low(z); k <= high(z); k++) {
    for (let j = low(y); j <= high(y); j++) {
      for (let i = low(x); i <= high(x); i++) {
        const dx = i * step - REACH - x;
        const dy = j * step - REACH - y;
        const dz = k * step - REACH - z;
        const inside = (radius - Math.sqrt(dx * dx + dy * dy + dz * dz)) / step + 0.5;
        const at = i + points * (j + points * k);
        values[at] = Math.max(values[at]!, Math.min(1, inside));
      }
    }
  }
}

/** Returns the field at (x, y, z) mm. */
export function sample(field: Field, x: number, y: number, z: number): number {
  const { values, points, step } = field;
  const last = points - 1.001;
  const u = Math.min(last, Math.max(0, (x + REACH) / step));
  const v = Math.min(last, Math.max(0, (y + REACH) / step));
  const w = Math.min(last, Math.max(0, (z + REACH) / step));
  const i = Math.floor(u);
  const j = Math.floor(v);
  const k = Math.floor(w);
  const fu = u - i;
  const fv = v - j;
  const at = i + points * (j + points * k);
  const up = at + points * points;
  const front = between(values, at, fu) * (1 - fv) + between(values, at + points, fu) * fv;
  const back = between(values, up, fu) * (1 - fv) + between(values, up + points, fu) * fv;
  return front + (back - front) * (w - k);
}

function between(values: Float32Array, at: number, fraction: number): number {
  return values[at]! + (values[at + 1]! - values[at]!) * fraction;
}

// Evaluates the spline along the slowest axis, [knots, rest] -> [rest, points]: the axes rotate by one, so
// that three calls treat all of them and restore their order.
function upsampleFirstAxis(
  from: Float32Array,
  knots: number,
  points: number,
  stride: number,
): Float32Array<ArrayBuffer> {
  const rest = from.length / knots;
  const to = new Float32Array(rest * points);
  for (let p = 0; p < points; p++) {
    const knot = Math.floor(p * stride);
    const t = p * stride - knot;
    const s = 1 - t;
    const a = (s * s * s) / 6;
    const b = (4 - 6 * t * t + 3 * t * t * t) / 6;
    const c = (4 - 6 * s * s + 3 * s * s * s) / 6;
    const d = (t * t * t) / 6;
    const row = knot * rest;
    for (let r = 0; r < rest; r++) {
      const at = row + r;
      to[r * points + p] =
        a * from[at]! + b * from[at + rest]! + c * from[at + 2 * rest]! + d * from[at + 3 * rest]!;
    }
  }
  return to;
}
