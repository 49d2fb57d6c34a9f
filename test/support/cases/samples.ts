// Ops that take a batch apart and put it together again.

import { samples } from "../../../engine/ops/samples.ts";
import { stack } from "../../../engine/ops/stack.ts";
import { type Array64, type OpCase, random } from "../gradcheck.ts";

const taken = (name: string, x: Array64, from: number, to: number): OpCase => ({
  op: "samples",
  name,
  inputs: { x },
  run: ({ x }) => samples(x!, from, to),
  reference: ({ x }) => {
    const [batch, ...size] = x!.shape as [number, ...number[]];
    const length = x!.data.length / batch;
    return { shape: [to - from, ...size], data: x!.data.slice(from * length, to * length) };
  },
});

const stacked = (name: string, ...parts: Array64[]): OpCase => ({
  op: "stack",
  name,
  inputs: Object.fromEntries(parts.map((part, i) => [`part ${i}`, part])),
  run: (tensors) => stack(parts.map((_, i) => tensors[`part ${i}`]!)),
  reference: (arrays) => {
    const all = parts.map((_, i) => arrays[`part ${i}`]!);
    const batch = all.reduce((sum, { shape }) => sum + shape[0]!, 0);
    const data = Float64Array.from(all.flatMap(({ data }) => [...data]));
    return { shape: [batch, ...all[0]!.shape.slice(1)], data };
  },
});

const volume = (batch: number, seed: number) => random([batch, 3, 3, 5, 7], { seed });

export const batches: OpCase[] = [
  taken("the middle one of odd sizes", volume(3, 1), 1, 2),
  taken("the last two", random([3, 1, 1, 1, 3]), 1, 3),
  taken("all of one voxel", random([2, 2, 1, 1, 1]), 0, 2),
  taken("40 channels", random([2, 40, 1, 2, 1]), 1, 2),
  stacked("three of odd sizes", volume(2, 1), volume(1, 2), volume(3, 3)),
  stacked("one channel", random([1, 1, 1, 3, 1], { seed: 1 }), random([2, 1, 1, 3, 1], { seed: 2 })),
  stacked("one voxel", random([1, 2, 1, 1, 1], { seed: 1 }), random([1, 2, 1, 1, 1], { seed: 2 })),
  stacked("40 channels", random([1, 40, 1, 2, 1], { seed: 1 }), random([1, 40, 1, 2, 1], { seed: 2 })),
  stacked("a single part", random([2, 2, 1, 1, 3])),
  stacked("20 parts", ...Array.from({ length: 20 }, (_, i) => random([1, 2, 1, 1, 3], { seed: i + 1 }))),
];
