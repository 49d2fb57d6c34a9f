import { conv3d } from "../../../engine/ops/conv3d.ts";
import { convTranspose3d } from "../../../engine/ops/convTranspose3d.ts";
import { type OpCase, random } from "../gradcheck.ts";
import * as reference from "../reference/conv3d.ts";

interface Row {
  name: string;
  x: readonly number[];
  weight: readonly number[];
  stride: number;
  padding: number;
  bias?: boolean;
  outputPadding?: number;
}

function inputs({ x, weight, bias }: Row, outputs: number): OpCase["inputs"] {
  const fan = weight.slice(1).reduce((a, b) => a * b, 1);
  return {
    x: random(x, { seed: 3 }),
    weight: random(weight, { seed: 4, scale: fan ** -0.5 }),
    ...(bias && { bias: random([outputs], { seed: 5 }) }),
  };
}

const forward = (row: Row): OpCase => ({
  op: "conv3d",
  name: row.name,
  inputs: inputs(row, row.weight[0]!),
  run: ({ x, weight, bias }) => conv3d(x!, weight!, bias, row),
  reference: ({ x, weight, bias }) => reference.conv3d(x!, weight!, bias, row),
});

const transposed = (row: Row): OpCase => ({
  op: "convTranspose3d",
  name: row.name,
  inputs: inputs(row, row.weight[1]!),
  run: ({ x, weight, bias }) => convTranspose3d(x!, weight!, bias, row),
  reference: ({ x, weight, bias }) => reference.convTranspose3d(x!, weight!, bias, row),
});

const same = { stride: 1, padding: 1 };
const half = { stride: 2, padding: 0 };
const point = { stride: 1, padding: 0 };

// A kernel is compiled for each edge, stride, padding and tile width (rows of more than four voxels, or
// fewer), with and without bias. That takes software adapters seconds: rows share kernels where they can.

export const convolutions: OpCase[] = [
  forward({
    name: "3³, odd size, batch 2",
    x: [2, 3, 3, 5, 9],
    weight: [5, 3, 3, 3, 3],
    ...same,
    bias: true,
  }),
  forward({ name: "3³, 9 channels to 9, rows of 17", x: [1, 9, 2, 5, 17], weight: [9, 9, 3, 3, 3], ...same }),
  forward({ name: "3³, 40 channels", x: [1, 40, 2, 2, 3], weight: [3, 40, 3, 3, 3], ...same }),
  forward({
    name: "3³, whole tiles and workgroups",
    x: [2, 2, 16, 16, 8],
    weight: [16, 2, 3, 3, 3],
    ...same,
    bias: true,
  }),
  forward({ name: "3³, one voxel", x: [2, 2, 1, 1, 1], weight: [3, 2, 3, 3, 3], ...same }),
  forward({
    name: "3³, 10 channels to 9, rows of 12, batch 2",
    x: [2, 10, 3, 4, 12],
    weight: [9, 10, 3, 3, 3],
    ...same,
    bias: true,
  }),
  forward({
    name: "3³, 9 channels to 10, odd planes of 4x4, batch 2",
    x: [2, 9, 5, 4, 4],
    weight: [10, 9, 3, 3, 3],
    ...same,
    bias: true,
  }),
  forward({
    name: "3³, rows of 24, shares of columns",
    x: [1, 2, 8, 9, 24],
    weight: [3, 2, 3, 3, 3],
    ...same,
  }),
  forward({ name: "3³, one channel, rows of 4", x: [1, 1, 5, 3, 4], weight: [1, 1, 3, 3, 3], ...same }),
  forward({
    name: "1³, a head with bias",
    x: [2, 6, 4, 5, 7],
    weight: [4, 6, 1, 1, 1],
    ...point,
    bias: true,
  }),
  forward({ name: "1³, 40 channels to 17", x: [1, 40, 1, 2, 5], weight: [17, 40, 1, 1, 1], ...point }),
  forward({
    name: "1³, a volume of two chunks of the bias's sum",
    x: [1, 1, 17, 16, 17],
    weight: [1, 1, 1, 1, 1],
    ...point,
    bias: true,
  }),
  forward({
    name: "2³, stride 2, even size, rows of 18",
    x: [2, 3, 4, 2, 18],
    weight: [10, 3, 2, 2, 2],
    ...half,
    bias: true,
  }),
  forward({
    name: "2³, stride 2, 9 channels to 40, more voxels than a tile of a product",
    x: [2, 9, 11, 6, 12],
    weight: [40, 9, 2, 2, 2],
    ...half,
    bias: true,
  }),
  forward({ name: "2³, stride 2, odd size", x: [1, 2, 5, 7, 3], weight: [3, 2, 2, 2, 2], ...half }),
  forward({
    name: "1³, whole tiles and workgroups, shares of the weight's sum",
    x: [2, 32, 8, 8, 8],
    weight: [8, 32, 1, 1, 1],
    ...point,
    bias: true,
  }),
  forward({
    name: "3³, stride 2, rows of 16 to 8 channels",
    x: [2, 2, 4, 3, 16],
    weight: [8, 2, 3, 3, 3],
    stride: 2,
    padding: 1,
  }),
  forward({ name: "3³, stride 2", x: [1, 3, 5, 6, 7], weight: [4, 3, 3, 3, 3], stride: 2, padding: 1 }),
  forward({ name: "4³, stride 2", x: [1, 2, 6, 8, 6], weight: [3, 2, 4, 4, 4], stride: 2, padding: 1 }),
  transposed({ name: "2³, stride 2", x: [2, 5, 3, 2, 4], weight: [5, 3, 2, 2, 2], ...half, bias: true }),
  transposed({
    name: "2³, stride 2, 17 channels to 10",
    x: [1, 17, 1, 2, 3],
    weight: [17, 10, 2, 2, 2],
    ...half,
  }),
  transposed({
    name: "2³, stride 2, odd size, rows of 18 to 9 channels",
    x: [2, 3, 3, 5, 9],
    weight: [3, 9, 2, 2, 2],
    ...half,
  }),
  transposed({
    name: "2³, stride 2, 40 channels to 9, more voxels than a tile of a product",
    x: [2, 40, 5, 3, 6],
    weight: [40, 9, 2, 2, 2],
    ...half,
    bias: true,
  }),
  transposed({ name: "2³, stride 2, 40 channels", x: [1, 40, 1, 1, 2], weight: [40, 3, 2, 2, 2], ...half }),
  transposed({
    name: "2³, stride 2, a volume of two chunks of the bias's sum",
    x: [1, 1, 9, 8, 9],
    weight: [1, 1, 2, 2, 2],
    ...half,
    bias: true,
  }),
  transposed({ name: "2³, stride 2, one voxel", x: [1, 1, 1, 1, 1], weight: [1, 1, 2, 2, 2], ...half }),
  transposed({
    name: "3³, stride 2, output padding",
    x: [1, 3, 2, 3, 4],
    weight: [3, 2, 3, 3, 3],
    stride: 2,
    padding: 1,
    outputPadding: 1,
  }),
  transposed({
    name: "3³, stride 2, rows of 17 to 11 channels",
    x: [2, 3, 2, 1, 9],
    weight: [3, 11, 3, 3, 3],
    stride: 2,
    padding: 1,
    bias: true,
  }),
  transposed({
    name: "3³, stride 2, whole tiles of rows and channels",
    x: [2, 8, 1, 2, 8],
    weight: [8, 16, 3, 3, 3],
    stride: 2,
    padding: 1,
    outputPadding: 1,
    bias: true,
  }),
];
