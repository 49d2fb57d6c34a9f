import { add } from "../../engine/ops/add.ts";
import { leakyRelu } from "../../engine/ops/leakyRelu.ts";
import { type Array64, type OpCase, random } from "../gradcheck.ts";

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
];
