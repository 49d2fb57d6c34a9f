import { meanSquaredError } from "../../engine/ops/meanSquaredError.ts";
import { type Array64, type OpCase, random } from "../gradcheck.ts";

const scalar = (value: number): Array64 => ({ shape: [], data: Float64Array.of(value) });

/** Mean of w_c (a - b)² over N, C and voxels, divided by the mean weight; 0 where all weights are 0. */
function squaredError(a: Array64, b: Array64, weight?: Array64): Array64 {
  const channels = weight?.data.length ?? 1;
  const voxels = weight ? a.data.length / a.shape[0]! / channels : 1;
  let sum = 0;
  let total = 0;
  for (let i = 0; i < a.data.length; i++) {
    const w = weight?.data[Math.floor(i / voxels) % channels] ?? 1;
    sum += w * (a.data[i]! - b.data[i]!) ** 2;
    total += w;
  }
  return scalar(total > 0 ? sum / total : 0);
}

const errors: OpCase[] = [
  {
    op: "meanSquaredError",
    name: "four numbers",
    inputs: { a: random([4]), b: random([4], { seed: 2 }) },
    run: ({ a, b }) => meanSquaredError(a!, b!),
    reference: ({ a, b }) => squaredError(a!, b!),
  },
  {
    op: "meanSquaredError",
    name: "volumes of an odd size",
    inputs: { a: random([2, 3, 3, 5, 7]), b: random([2, 3, 3, 5, 7], { seed: 2 }) },
    run: ({ a, b }) => meanSquaredError(a!, b!),
    reference: ({ a, b }) => squaredError(a!, b!),
  },
  {
    op: "meanSquaredError",
    name: "two of three channels",
    inputs: { a: random([2, 3, 3, 5, 7]), b: random([2, 3, 3, 5, 7], { seed: 2 }) },
    constants: { weight: { shape: [3], data: Float64Array.of(1, 0, 1) } },
    run: ({ a, b, weight }) => meanSquaredError(a!, b!, weight),
    reference: ({ a, b, weight }) => squaredError(a!, b!, weight),
  },
  {
    op: "meanSquaredError",
    name: "no channel left",
    inputs: { a: random([2, 3, 1, 2, 2]), b: random([2, 3, 1, 2, 2], { seed: 2 }) },
    constants: { weight: { shape: [3], data: Float64Array.of(0, 0, 0) } },
    run: ({ a, b, weight }) => meanSquaredError(a!, b!, weight),
    reference: ({ a, b, weight }) => squaredError(a!, b!, weight),
  },
];

export const losses: OpCase[] = [...errors];
