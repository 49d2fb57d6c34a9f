import { batchNorm, batchNormEval } from "../../engine/ops/batchNorm.ts";
import { channelSum } from "../../engine/ops/channelSum.ts";
import { fill } from "../../engine/ops/fill.ts";
import { instanceNorm } from "../../engine/ops/instanceNorm.ts";
import { type Array64, type OpCase, random } from "../gradcheck.ts";
import * as reference from "../reference/norms.ts";

const STEP = 1e-6; // a group of few or equal values curves at the scale of its standard deviation

type Norm = Pick<OpCase, "run" | "reference">;
type Rows = readonly (readonly [name: string, x: Array64])[];

const instance: Norm = {
  run: ({ x, weight, bias }) => instanceNorm(x!, weight!, bias!),
  reference: ({ x, weight, bias }) => reference.instanceNorm(x!, weight!, bias!),
};
const batch: Norm = {
  run: ({ x, weight, bias }) => {
    const [, channels = 1] = x!.shape;
    const running = { mean: fill(x!.device, [channels], 0), variance: fill(x!.device, [channels], 1) };
    return batchNorm(x!, weight!, bias!, running);
  },
  reference: ({ x, weight, bias }) => reference.batchNorm(x!, weight!, bias!),
};

/** A volume of more than one chunk of 4096 voxels, of which the last is not full. */
const LONG = [1, 1, 17, 16, 17];
/** And several of them, so that each must be found. */
const CHUNKS = [2, 2, 1, 41, 101];

const shared: Rows = [
  ["two samples of an odd size, mean >> std", random([2, 3, 3, 5, 7], { scale: 3, offset: 1000 })],
  ["three samples of one channel", random([3, 1, 2, 3, 5])],
  ["40 channels of five voxels", random([2, 40, 1, 1, 5], { scale: 3 })],
  ["a volume of two chunks", random(LONG, { offset: 3 })],
];

const instanceRows: Rows = [
  ...shared,
  ["one voxel gives the bias", random([2, 3, 1, 1, 1])],
  [
    "an empty channel, of equal values, gives the bias",
    { shape: [1, 2, 2, 3, 3], data: new Float64Array(36).fill(0.3) },
  ],
];

const batchRows: Rows = [...shared, ["one voxel of each of five samples", random([5, 4, 1, 1, 1])]];

const evalRows: Rows = [
  ["two samples of an odd size", random([2, 3, 3, 5, 7], { offset: 2 })],
  ["one voxel of one channel", random([1, 1, 1, 1, 1], { offset: 2 })],
  ["40 channels", random([1, 40, 1, 2, 3], { offset: 2 })],
  ["a volume of two chunks", random(LONG, { offset: 2 })],
];

function evaluated(name: string, x: Array64): OpCase {
  const [, channels = 1] = x.shape;
  return {
    op: "batchNormEval",
    name,
    inputs: withAffine(x),
    constants: {
      mean: random([channels], { seed: 4, offset: 2 }),
      variance: {
        shape: [channels],
        data: Float64Array.from({ length: channels }, (_, c) => 4 ** ((c % 3) - 1)),
      },
    },
    run: ({ x, weight, bias, mean, variance }) =>
      batchNormEval(x!, weight!, bias!, { mean: mean!, variance: variance! }),
    reference: ({ x, weight, bias, mean, variance }) =>
      reference.batchNormEval(x!, weight!, bias!, mean!, variance!),
  };
}

export const norms: OpCase[] = [
  {
    op: "channelSum",
    name: "a row of two chunks, far from zero",
    inputs: { x: random([1, 1, 1, 17, 257], { offset: 100 }) },
    run: ({ x }) => channelSum(x!),
    reference: ({ x }) => reference.channelSum(x!),
    step: 1, // the sum is linear
  },
  {
    op: "channelSum",
    name: "two samples of an odd size",
    inputs: { x: random([2, 3, 3, 5, 7]) },
    run: ({ x }) => channelSum(x!),
    reference: ({ x }) => reference.channelSum(x!),
  },
  {
    op: "channelSum",
    name: "40 channels of one voxel",
    inputs: { x: random([3, 40, 1, 1, 1]) },
    run: ({ x }) => channelSum(x!),
    reference: ({ x }) => reference.channelSum(x!),
  },
  ...instanceRows.map(([name, x]) => ({
    op: "instanceNorm",
    name,
    inputs: withAffine(x),
    step: STEP,
    ...instance,
  })),
  ...batchRows.map(([name, x]) => ({ op: "batchNorm", name, inputs: withAffine(x), step: STEP, ...batch })),
  ...evalRows.map(([name, x]) => evaluated(name, x)),
  {
    op: "channelSum",
    name: "two samples and channels of two chunks",
    inputs: { x: random(CHUNKS) },
    run: ({ x }) => channelSum(x!),
    reference: ({ x }) => reference.channelSum(x!),
  },
  {
    op: "instanceNorm",
    name: "two samples and channels of two chunks",
    inputs: withAffine(random(CHUNKS, { offset: 2 })),
    step: STEP,
    ...instance,
  },
  {
    op: "batchNorm",
    name: "two samples and channels of two chunks",
    inputs: withAffine(random(CHUNKS, { offset: 2 })),
    step: STEP,
    ...batch,
  },
  {
    op: "channelSum",
    name: "more samples than threads",
    inputs: { x: random([70, 2, 1, 1, 2]) },
    run: ({ x }) => channelSum(x!),
    reference: ({ x }) => reference.channelSum(x!),
  },
  {
    op: "batchNorm",
    name: "more samples than threads",
    inputs: withAffine(random([70, 2, 1, 1, 2])),
    step: STEP,
    ...batch,
  },
  {
    op: "channelSum",
    name: "a matrix",
    inputs: { x: random([4, 3]) },
    run: ({ x }) => channelSum(x!),
    reference: ({ x }) => reference.channelSum(x!),
  },
  { op: "instanceNorm", name: "a matrix", inputs: withAffine(random([4, 3])), step: STEP, ...instance },
  { op: "batchNorm", name: "a matrix", inputs: withAffine(random([4, 3])), step: STEP, ...batch },
];

function withAffine(x: Array64): Record<string, Array64> {
  const [, channels = 1] = x.shape;
  return { x, weight: random([channels], { seed: 2, offset: 1 }), bias: random([channels], { seed: 3 }) };
}
