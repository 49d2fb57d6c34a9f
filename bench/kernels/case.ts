// What the bench times: an op on tensors of given shapes, in passes, each with what it must compute and move.

import type { Tensor } from "../../engine/index.ts";
import type { Values } from "../../model/networks/params.ts";
import type { Array64 } from "../../test/support/gradcheck.ts";
import { array64, normal, sizeOf } from "../values.ts";

/** One op at one shape. */
export interface KernelCase {
  op: string;
  /** What is special about it: the kernel's edge and channels, the classes. */
  detail: string;
  /** [D,H,W] of the input. */
  size: readonly number[];
  inputs: Readonly<Record<string, () => Values>>;
  run: (tensors: Tensors) => Tensor;
  passes: readonly Pass[];
  /** The relative error of what a pass gave. */
  check: (given: Given) => number;
  /** Lets go of what `run` keeps from call to call. */
  finish?: () => void;
}

export type Tensors = Readonly<Record<string, Tensor>>;

export interface Pass {
  name: "forward" | "backward" | "data gradient" | "weight gradient" | `d${string}`;
  /** Inputs whose gradients it computes; none for the forward pass. */
  by: readonly string[];
  /** What it cannot do without reading: names of inputs, and `dy`. */
  reads: readonly string[];
  /** Multiplications and additions, where they are what bounds it. */
  operations?: number;
  /** Elements read or written besides: an optimizer's moments. */
  state?: number;
}

/** What a pass was given and gave. */
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

/** How much of a case its float64 reference sees: all of it, its last channel, or some of its voxels. */
export type Part = "all" | "channel" | "voxels";

/**
 * Compares with a float64 reference. An output is compared element by element. A gradient g is compared along a
 * random direction u, where <g, u> must be the derivative of <reference, dy>: two runs of the reference give
 * that by a central difference, however many elements there are; the error is relative to ||g||. Functions with a
 * kink need a small `step`.
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
const VOXELS = 20_011; // of those that a reference sees of many

const CUTS: Readonly<Record<Part, (values: Values) => Values>> = {
  all: (values) => values,
  /** Of [C] and [1,C,...], the last channel. */
  channel: ({ shape, data }) => {
    if (shape.length === 1) return { shape: [1], data: data.slice(-1) };
    return { shape: [1, 1, ...shape.slice(2)], data: data.slice(-sizeOf(shape.slice(2))) };
  },
  /** Of [1,C,D,H,W], some voxels spread over all; what has no volume stays. */
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

/** ||got - want|| / ||want||; 0 where they are the same, all zeros too. */
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
