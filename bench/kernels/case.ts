// A case of the kernel benchmark: an op at one shape, and its passes with the operations and bytes that each
// needs.

import type { Tensor } from "../../engine/index.ts";
import type { Values } from "../../model/networks/params.ts";
import type { Array64 } from "../../test/support/gradcheck.ts";
import { array64, normal, sizeOf } from "../values.ts";

/** One op at one shape. */
export interface KernelCase {
  op: string;
  /** Its kernel edge and channels, its classes. */
  detail: string;
  /** [D,H,W] of the input. */
  size: readonly number[];
  inputs: Readonly<Record<string, () => Values>>;
  run: (tensors: Tensors) => Tensor;
  passes: readonly Pass[];
  /** Returns the relative error of a pass's results. */
  check: (given: Given) => number;
  /** Frees the tensors that `run` keeps from call to call. */
  finish?: () => void;
}

export type Tensors = Readonly<Record<string, Tensor>>;

export interface Pass {
  name: "forward" | "backward" | "data gradient" | "weight gradient" | `d${string}`;
  /** The inputs whose gradients it computes; empty for the forward pass. */
  by: readonly string[];
  /** The tensors it must read: names of inputs, and `dy`. */
  reads: readonly string[];
  /** Multiplications and additions, for passes that arithmetic bounds. */
  operations?: number;
  /** Further elements it must read or write: an optimizer's moments. */
  state?: number;
}

/** The inputs of a pass and its results. */
export interface Given {
  pass: Pass;
  inputs: Readonly<Record<string, Values>>;
  /** The cotangent; null for the forward pass. */
  dy: Values | null;
  /** The output, or the gradients in the order of `by`. */
  results: readonly Values[];
}

/** The forward pass of an op that reads all its inputs. */
export function forward(inputs: KernelCase["inputs"], operations?: number): Pass {
  return { name: "forward", by: [], reads: Object.keys(inputs), ...(operations && { operations }) };
}

/** The part of a case that its float64 reference checks: everything, the last channel, or some voxels. */
export type Part = "all" | "channel" | "voxels";

/**
 * Returns a check against a float64 reference. It compares an output element by element, and a gradient g
 * along a random direction u: <g, u> must equal the derivative of <reference, dy>, which takes two runs of
 * the reference (a central difference) however many elements there are. That error is relative to ||g||.
 * Functions with a kink need a small `step`.
 */
export function against(
  reference: (arrays: Readonly<Record<string, Array64>>) => Array64,
  part: Part = "all",
  step = 1e-3,
): KernelCase["check"] {
  const cut = CUTS[part];
  return ({ pass, inputs, dy, results }) => {
    const arrays = Object.fromEntries(Object.entries(inputs).map(([name, v]) => [name, array64(cut(v))]));
    if (!dy) return relativeError(cut(results[0]!).data, reference(arrays).data);
    const cotangent = cut(dy).data;
    const errors = pass.by.map((name, i) => {
      const gradient = cut(results[i]!).data;
      const { shape, data } = arrays[name]!;
      const u = normal(shape, DIRECTION).data;
      const at = (h: number) => {
        const moved = { shape, data: data.map((value, j) => value + h * u[j]!) };
        return dot(reference({ ...arrays, [name]: moved }).data, cotangent);
      };
      const slope = (at(step) - at(-step)) / (2 * step);
      return Math.abs(dot(gradient, u) - slope) / Math.sqrt(dot(gradient, gradient));
    });
    return errors.reduce((a, b) => (b <= a ? a : b)); // NaN is the worst
  };
}

const DIRECTION = 17; // a seed that no input has
const VOXELS = 20_011; // about as many are checked

const CUTS: Readonly<Record<Part, (values: Values) => Values>> = {
  all: (values) => values,
  /** The last channel of [C] or [1,C,...]. */
  channel: ({ shape, data }) => {
    if (shape.length === 1) return { shape: [1], data: data.slice(-1) };
    return { shape: [1, 1, ...shape.slice(2)], data: data.slice(-sizeOf(shape.slice(2))) };
  },
  /** Some voxels of [1,C,D,H,W], spread evenly; tensors without a volume stay whole. */
  voxels: ({ shape, data }) => {
    if (shape.length < 5) return { shape, data };
    const [, channels = 1, ...size] = shape;
    const voxels = sizeOf(size);
    const every = Math.max(1, Math.floor(voxels / VOXELS));
    const picked = Math.ceil(voxels / every);
    const cut = new Float32Array(channels * picked);
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < picked; i++) cut[c * picked + i] = data[c * voxels + i * every]!;
    }
    return { shape: [1, channels, 1, 1, picked], data: cut };
  },
};

/** ||got - want|| / ||want||; 0 if they are equal, even if all are zeros. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Infinity;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < want.length; i++) {
    difference += (got[i]! - want[i]!) ** 2;
    norm += want[i]! ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
