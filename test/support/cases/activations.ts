import { add } from "../../../engine/ops/add.ts";
import { gelu, leakyRelu, leakyReluSlope, relu, sigmoid, tanh } from "../../../engine/ops/activations.ts";
import { logSoftmax } from "../../../engine/ops/logSoftmax.ts";
import { multiply } from "../../../engine/ops/multiply.ts";
import { softmax } from "../../../engine/ops/softmax.ts";
import type { Tensor } from "../../../engine/autograd/tensor.ts";
import { type Array64, type OpCase, random } from "../gradcheck.ts";
import * as reference from "../reference/norms.ts";

const map = (x: Array64, f: (value: number, i: number) => number): Array64 => ({ ...x, data: x.data.map(f) });

const sum = (name: string, shape: readonly number[]): OpCase => ({
  op: "add",
  name,
  inputs: { a: random(shape, { seed: 1 }), b: random(shape, { seed: 2 }) },
  run: ({ a, b }) => add(a!, b!),
  reference: ({ a, b }) => map(a!, (value, i) => value + b!.data[i]!),
});

const product = (name: string, shape: readonly number[]): OpCase => ({
  op: "multiply",
  name,
  inputs: { a: random(shape, { seed: 1 }), b: random(shape, { seed: 2 }) },
  run: ({ a, b }) => multiply(a!, b!),
  reference: ({ a, b }) => map(a!, (value, i) => value * b!.data[i]!),
});

const slope = (name: string, shape: readonly number[], given?: number): OpCase => ({
  op: "leakyReluSlope",
  name,
  inputs: { g: random(shape, { seed: 1 }) },
  constants: { a: random(shape, { seed: 2 }) },
  run: ({ g, a }) => leakyReluSlope(g!, a!, given),
  reference: ({ g, a }) => map(g!, (value, i) => (a!.data[i]! > 0 ? value : (given ?? 0.01) * value)),
});

/** An op on single elements. */
interface Elementwise {
  op: string;
  run: (x: Tensor) => Tensor;
  f: (value: number) => number;
  step?: number;
}

const KINK = 1e-6; // the step where values may lie within 1e-4 of 0

const elementwise: readonly Elementwise[] = [
  { op: "relu", run: relu, f: (value) => Math.max(value, 0), step: KINK },
  {
    op: "leakyRelu",
    run: (x) => leakyRelu(x, 0.2),
    f: (value) => (value > 0 ? value : 0.2 * value),
    step: KINK,
  },
  { op: "sigmoid", run: sigmoid, f: (value) => 1 / (1 + Math.exp(-value)) },
  { op: "tanh", run: tanh, f: Math.tanh },
  { op: "gelu", run: gelu, f: (value) => value * reference.normalIntegral(value) },
];

const volumes: readonly (readonly [name: string, x: Array64])[] = [
  ["a volume of an odd size", random([2, 3, 3, 5, 7])],
  ["one voxel of one channel", random([1, 1, 1, 1, 1])],
  ["40 channels", random([1, 40, 1, 2, 3])],
  ["more than two workgroups take", random([1, 1, 3, 23, 31])],
  ["large values", random([1, 1, 1, 5, 7], { scale: 10 })],
  ["small values", random([1, 1, 1, 1, 5], { scale: 0.01 })],
];

const each = ({ op, run, f, step }: Elementwise, name: string, x: Array64): OpCase => ({
  op,
  name,
  inputs: { x },
  run: ({ x }) => run(x!),
  reference: ({ x }) => map(x!, f),
  ...(step && { step }),
});

const logits: readonly (readonly [name: string, x: Array64])[] = [
  ["two samples of an odd size", random([2, 3, 3, 5, 7], { scale: 3 })],
  ["four classes", random([2, 4, 1, 2, 3], { scale: 3 })],
  ["logits of 60 and more", random([1, 4, 2, 3, 5], { scale: 60 })],
  ["logits that differ little, far from zero", random([1, 3, 1, 1, 5], { scale: 0.1, offset: 1000 })],
  ["40 channels of one voxel", random([1, 40, 1, 1, 1])],
  ["one channel", random([2, 1, 1, 2, 3])],
];

/**
 * Two samples whose voxels differ from their neighbours; in every seventh voxel one class in turn is so far
 * ahead that the power of its difference from another overflows.
 */
const farApart = ([3, 6] as const).map((channels) => {
  const voxels = 529; // more than a workgroup takes
  return map(random([2, channels, 1, 23, 23]), (value, i) => {
    const [v, c] = [i % voxels, Math.floor(i / voxels) % channels];
    const ahead = v % 7 === 0 && (v / 7) % channels === c ? 100 : 0;
    return Math.fround(value + ahead + 200 * ((v % 2) + 2 * Math.floor(i / (channels * voxels))));
  });
});

/** Both ops of the softmax on the same input. */
const softmaxes = (name: string, x: Array64): OpCase[] => [
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
];

export const activations: OpCase[] = [
  sum("two volumes of an odd size", [2, 3, 3, 5, 7]),
  sum("one voxel of one channel", [1, 1, 1, 1, 1]),
  sum("40 channels", [1, 40, 1, 2, 3]),
  sum("more than two workgroups take", [1, 1, 3, 23, 31]),
  {
    op: "add",
    name: "a tensor to itself",
    inputs: { a: random([1, 1, 1, 1, 5]) },
    run: ({ a }) => add(a!, a!),
    reference: ({ a }) => map(a!, (value) => 2 * value),
  },
  product("two volumes of an odd size", [2, 3, 3, 5, 7]),
  product("one voxel of one channel", [1, 1, 1, 1, 1]),
  product("40 channels", [1, 40, 1, 2, 3]),
  product("more than two workgroups take", [1, 1, 3, 23, 31]),
  {
    op: "multiply",
    name: "a tensor by itself",
    inputs: { a: random([1, 1, 1, 1, 5]) },
    run: ({ a }) => multiply(a!, a!),
    reference: ({ a }) => map(a!, (value) => value ** 2),
  },
  slope("two volumes of an odd size", [2, 3, 3, 5, 7], 0.2),
  slope("one voxel of one channel", [1, 1, 1, 1, 1]),
  slope("40 channels", [1, 40, 1, 2, 3]),
  slope("more than two workgroups take", [1, 1, 3, 23, 31], 0.001),
  slope("the slope by default", [1, 1, 1, 1, 5]),
  slope("a negative slope", [1, 2, 1, 1, 5], -1),
  ...elementwise.flatMap((op) => volumes.map(([name, x]) => each(op, name, x))),
  each(elementwise[0]!, "all negative", random([1, 1, 1, 1, 5], { offset: -10 })),
  each(
    { op: "leakyRelu", run: (x) => leakyRelu(x), f: (value) => (value > 0 ? value : 0.01 * value) },
    "the slope by default, far from the kink",
    random([1, 1, 1, 1, 5], { offset: -2 }),
  ),
  ...logits.flatMap(([name, x]) => softmaxes(name, x)),
  ...softmaxes("a matrix", random([4, 3])),
  ...farApart.flatMap((x) => softmaxes(`${x.shape[1]} channels, voxels and samples far apart`, x)),
  {
    op: "tanh",
    name: "values near 1.6, where the formula for small ones is off",
    inputs: { x: random([40], { scale: 0.01, offset: 1.6 }) },
    run: ({ x }) => tanh(x!),
    reference: ({ x }) => map(x!, Math.tanh),
  },
];
