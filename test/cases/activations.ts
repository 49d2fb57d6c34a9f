import { add } from "../../engine/ops/add.ts";
import { gelu } from "../../engine/ops/gelu.ts";
import { leakyRelu } from "../../engine/ops/leakyRelu.ts";
import { logSoftmax } from "../../engine/ops/logSoftmax.ts";
import { relu } from "../../engine/ops/relu.ts";
import { sigmoid } from "../../engine/ops/sigmoid.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { tanh } from "../../engine/ops/tanh.ts";
import { type Array64, type OpCase, random } from "../gradcheck.ts";
import * as reference from "../reference/norms.ts";

const map = (x: Array64, f: (value: number, i: number) => number): Array64 => ({ ...x, data: x.data.map(f) });

export const activations: OpCase[] = [
  {
    op: "add",
    name: "two volumes of an odd size",
    inputs: { a: random([2, 3, 3, 5, 7], { seed: 1 }), b: random([2, 3, 3, 5, 7], { seed: 2 }) },
    run: ({ a, b }) => add(a!, b!),
    reference: ({ a, b }) => map(a!, (value, i) => value + b!.data[i]!),
  },
  {
    op: "add",
    name: "a tensor to itself",
    inputs: { a: random([1, 1, 1, 1, 5]) },
    run: ({ a }) => add(a!, a!),
    reference: ({ a }) => map(a!, (value) => 2 * value),
  },
  {
    op: "leakyRelu",
    name: "slope 0.2",
    inputs: { x: random([2, 3, 3, 5, 7]) },
    run: ({ x }) => leakyRelu(x!, 0.2),
    reference: ({ x }) => map(x!, (value) => (value > 0 ? value : 0.2 * value)),
    step: 1e-6, // some values lie within 1e-4 of the kink
  },
  {
    op: "relu",
    name: "a volume of an odd size",
    inputs: { x: random([2, 3, 3, 5, 7]) },
    run: ({ x }) => relu(x!),
    reference: ({ x }) => map(x!, (value) => Math.max(value, 0)),
    step: 1e-6, // some values lie within 1e-4 of the kink
  },
  {
    op: "relu",
    name: "all negative",
    inputs: { x: random([1, 1, 1, 1, 5], { offset: -10 }) },
    run: ({ x }) => relu(x!),
    reference: ({ x }) => map(x!, () => 0),
  },
  ...(
    [
      ["a volume of an odd size", random([2, 3, 3, 5, 7])],
      ["large values", random([1, 1, 1, 5, 7], { scale: 10 })],
      ["small values", random([1, 1, 1, 1, 5], { scale: 0.01 })],
    ] as const
  ).flatMap(([name, x]): OpCase[] => [
    {
      op: "sigmoid",
      name,
      inputs: { x },
      run: ({ x }) => sigmoid(x!),
      reference: ({ x }) => map(x!, (value) => 1 / (1 + Math.exp(-value))),
    },
    {
      op: "tanh",
      name,
      inputs: { x },
      run: ({ x }) => tanh(x!),
      reference: ({ x }) => map(x!, Math.tanh),
    },
    {
      op: "gelu",
      name,
      inputs: { x },
      run: ({ x }) => gelu(x!),
      reference: ({ x }) => map(x!, (value) => value * reference.normalIntegral(value)),
    },
  ]),
  ...(
    [
      ["two samples of an odd size", random([2, 4, 3, 5, 7], { scale: 3 })],
      ["logits of 60 and more", random([1, 4, 2, 3, 5], { scale: 60 })],
      ["logits that differ little, far from zero", random([1, 3, 1, 1, 5], { scale: 0.1, offset: 1000 })],
      ["40 channels of one voxel", random([1, 40, 1, 1, 1])],
      ["one channel", random([2, 1, 1, 2, 3])],
    ] as const
  ).flatMap(([name, x]): OpCase[] => [
    {
      op: "softmax",
      name,
      inputs: { x },
      run: ({ x }) => softmax(x!),
      reference: ({ x }) => reference.softmax(x!),
    },
    {
      op: "logSoftmax",
      name,
      inputs: { x },
      run: ({ x }) => logSoftmax(x!),
      reference: ({ x }) => reference.logSoftmax(x!),
    },
  ]),
];
