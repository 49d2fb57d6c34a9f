import { batchNorm, batchNormEval, batchNormEvalRelu, batchNormRelu } from "../../../engine/ops/batchNorm.ts";
import { channelSum } from "../../../engine/ops/channelSum.ts";
import { fill } from "../../../engine/ops/fill.ts";
import { instanceNorm, instanceNormRelu } from "../../../engine/ops/instanceNorm.ts";
import type { Tensor } from "../../../engine/autograd/tensor.ts";
import { type Array64, type OpCase, random } from "../gradcheck.ts";
import * as reference from "../reference/norms.ts";

const STEP = 1e-6; // few or nearly equal values: the function curves at the scale of their deviation
const WIDE = 3e-6; // many values: the differences of smaller steps would be rounding errors

type Norm = Pick<OpCase, "run" | "reference">;
type Rows = readonly (readonly [name: string, x: Array64])[];

const instance: Norm = {
  run: ({ x, weight, bias }) => instanceNorm(x!, weight!, bias!),
  reference: ({ x, weight, bias }) => reference.instanceNorm(x!, weight!, bias!),
};
const instanceRelu: Norm = {
  run: ({ x, weight, bias, skip }) => instanceNormRelu(x!, weight!, bias!, { skip: skip ?? null }),
  reference: ({ x, weight, bias, skip }) => rectified(reference.instanceNorm(x!, weight!, bias!), skip),
};
const fresh = ({ device, shape: [, channels = 1] }: Tensor) => ({
  mean: fill(device, [channels], 0),
  variance: fill(device, [channels], 1),
});
const batch: Norm = {
  run: ({ x, weight, bias }) => batchNorm(x!, weight!, bias!, fresh(x!)),
  reference: ({ x, weight, bias }) => reference.batchNorm(x!, weight!, bias!),
};
const batchRelu: Norm = {
  run: ({ x, weight, bias, skip }) => batchNormRelu(x!, weight!, bias!, fresh(x!), { skip: skip ?? null }),
  reference: ({ x, weight, bias, skip }) => rectified(reference.batchNorm(x!, weight!, bias!), skip),
};
const evaluation: Norm = {
  run: ({ x, weight, bias, mean, variance }) =>
    batchNormEval(x!, weight!, bias!, { mean: mean!, variance: variance! }),
  reference: ({ x, weight, bias, mean, variance }) =>
    reference.batchNormEval(x!, weight!, bias!, mean!, variance!),
};
const evaluationRelu: Norm = {
  run: ({ x, weight, bias, mean, variance, skip }) =>
    batchNormEvalRelu(x!, weight!, bias!, { mean: mean!, variance: variance! }, { skip: skip ?? null }),
  reference: ({ x, weight, bias, mean, variance, skip }) =>
    rectified(reference.batchNormEval(x!, weight!, bias!, mean!, variance!), skip),
};

/** max(y, 0) + skip. */
function rectified({ shape, data }: Array64, skip?: Array64): Array64 {
  return { shape, data: data.map((value, i) => Math.max(value, 0) + (skip?.data[i] ?? 0)) };
}

/** A volume of more than one chunk of 8192 voxels, the last not full. */
const LONG = [1, 1, 17, 16, 33];
/** Two such volumes of two channels, so that each must be found. */
const CHUNKS = [2, 2, 1, 41, 203];

const shared: Rows = [
  ["two samples of an odd size, mean >> std", random([2, 3, 3, 5, 7], { scale: 3, offset: 1000 })],
  ["three samples of one channel", random([3, 1, 2, 3, 5])],
  ["40 channels of five voxels", random([2, 40, 1, 1, 5], { scale: 3 })],
  ["a volume of two chunks", random(LONG, { offset: 3 })],
];

// With this seed no voxel lies so near to ReLU's zero that a step of the differences crosses it.
const several: Rows[number] = [
  "two samples and channels of two chunks",
  random(CHUNKS, { seed: 6, offset: 2 }),
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

/** Rows of an op that takes running statistics. */
const evaluated = (op: string, name: string, x: Array64, norm: Norm, skip = false): OpCase => {
  const [, channels = 1] = x.shape;
  return {
    op,
    name,
    inputs: withAffine(x, skip),
    constants: {
      mean: random([channels], { seed: 4, offset: 2 }),
      variance: {
        shape: [channels],
        data: Float64Array.from({ length: channels }, (_, c) => 4 ** ((c % 3) - 1)),
      },
    },
    step: STEP,
    ...norm,
  };
};

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
    name: "one voxel more than a chunk",
    inputs: { x: random([1, 1, 1, 17, 241], { offset: 100 }) },
    run: ({ x }) => channelSum(x!),
    reference: ({ x }) => reference.channelSum(x!),
    step: 1,
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
  ...evalRows.map(([name, x]) => evaluated("batchNormEval", name, x, evaluation)),
  {
    op: "channelSum",
    name: "two samples and channels of two chunks",
    inputs: { x: random(CHUNKS) },
    run: ({ x }) => channelSum(x!),
    reference: ({ x }) => reference.channelSum(x!),
  },
  { op: "instanceNorm", name: several[0], inputs: withAffine(several[1]), step: WIDE, ...instance },
  { op: "batchNorm", name: several[0], inputs: withAffine(several[1]), step: WIDE, ...batch },
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
  ...[
    { op: "instanceNormRelu", rows: instanceRows, norm: instanceRelu },
    { op: "batchNormRelu", rows: batchRows, norm: batchRelu },
  ].flatMap(({ op, rows, norm }) =>
    [...rows, several].map(([name, x]) => ({
      op,
      name: `${name}, and a skip`,
      inputs: withAffine(x, true),
      step: x === several[1] ? WIDE : STEP,
      ...norm,
    })),
  ),
  ...evalRows.map(([name, x]) =>
    evaluated("batchNormEvalRelu", `${name}, and a skip`, x, evaluationRelu, true),
  ),
  ...[
    { op: "instanceNormRelu", norm: instanceRelu },
    { op: "batchNormRelu", norm: batchRelu },
  ].map(({ op, norm }) => ({
    op,
    name: "no skip",
    inputs: withAffine(random([2, 3, 3, 5, 7])),
    step: STEP,
    ...norm,
  })),
  evaluated("batchNormEvalRelu", "no skip", random([2, 3, 3, 5, 7], { offset: 2 }), evaluationRelu),
];

function withAffine(x: Array64, skip = false): Record<string, Array64> {
  const [, channels = 1] = x.shape;
  return {
    x,
    weight: random([channels], { seed: 2, offset: 1 }),
    bias: random([channels], { seed: 3 }),
    ...(skip && { skip: random(x.shape, { seed: 5 }) }),
  };
}
