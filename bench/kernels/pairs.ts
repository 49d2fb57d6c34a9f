// Cases of ops that take two tensors voxel by voxel.

import { leakyReluSlope, multiply, type Tensor } from "../../engine/index.ts";
import { normal } from "../values.ts";
import { against, forward, type KernelCase } from "./case.ts";

/** An op, its function of two values, and its backward pass. */
interface Pair {
  run: (a: Tensor, b: Tensor) => Tensor;
  reference: (a: number, b: number) => number;
  passes: KernelCase["passes"];
}

/** An op of two tensors, voxel by voxel. */
export function pairCase(op: keyof typeof PAIRS, channels: number, size: readonly number[]): KernelCase {
  const inputs = { a: () => normal([1, channels, ...size]), b: () => normal([1, channels, ...size], 2) };
  const { run, reference, passes } = PAIRS[op];
  return {
    op,
    detail: `${channels}`,
    size,
    inputs,
    run: ({ a, b }) => run(a!, b!),
    passes: [forward(inputs), ...passes],
    check: against(
      ({ a, b }) => ({ ...a!, data: a!.data.map((value, i) => reference(value, b!.data[i]!)) }),
      "channel",
    ),
  };
}

const PAIRS: Readonly<Record<"multiply" | "leakyReluSlope", Pair>> = {
  multiply: {
    run: multiply,
    reference: (a, b) => a * b,
    passes: [{ name: "backward", by: ["a", "b"], reads: ["a", "b", "dy"] }],
  },
  leakyReluSlope: {
    run: (g, a) => leakyReluSlope(g, a, 0.2),
    reference: (g, a) => (a > 0 ? g : 0.2 * g),
    passes: [{ name: "backward", by: ["a"], reads: ["b", "dy"] }],
  },
};
