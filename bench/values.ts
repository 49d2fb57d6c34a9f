// Repeatable values for tensors of any size. They are cut from one pool, because drawing millions of values
// takes longer than the kernels that are timed. The pool's length is prime, so that no stride of a volume
// repeats it.

import { Random } from "../engine/index.ts";
import type { Values } from "../model/networks/params.ts";
import type { Array64 } from "../test/support/gradcheck.ts";

const POOL = 1_048_573;
let pool: Float32Array | null = null;

/** Standard normal values of a shape, times `scale`; equal seeds give equal values. */
export function normal(shape: readonly number[], seed = 1, scale = 1): Values {
  if (!pool) {
    const random = new Random(1);
    pool = Float32Array.from({ length: POOL }, () => random.normal());
  }
  const data = new Float32Array(sizeOf(shape));
  for (let to = 0, from = (seed * 104_729) % POOL; to < data.length; from = 0) {
    const piece = pool.subarray(from, from + Math.min(POOL - from, data.length - to));
    data.set(piece, to);
    to += piece.length;
  }
  return { shape, data: scale === 1 ? data : data.map((value) => scale * value) };
}

/** Labels of a shape, drawn uniformly from 0 … classes-1. */
export function labels(shape: readonly number[], classes: number): Values {
  const random = new Random(7);
  return { shape, data: Float32Array.from({ length: sizeOf(shape) }, () => random.integer(classes)) };
}

/**
 * First values of a network's tensors: kernels by their fan, the weights and variances of norms near 1, the
 * rest near 0.
 */
export function networkValues(tensors: ReadonlyMap<string, readonly number[]>): Record<string, Values> {
  const named = [...tensors].map(([name, shape], i): [string, Values] => {
    const seed = i + 10;
    if (shape.length === 5) return [name, normal(shape, seed, sizeOf(shape.slice(1)) ** -0.5)];
    const middle = /\.(weight|running_var)$/.test(name) ? 1 : 0;
    const { data } = normal(shape, seed, 0.1);
    return [name, { shape, data: data.map((value) => middle + value) }];
  });
  return Object.fromEntries(named);
}

/** The same values in float64, for a reference. */
export function array64({ shape, data }: Values): Array64 {
  return { shape, data: Float64Array.from(data) };
}

/** Elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
