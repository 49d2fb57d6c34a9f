// Cases of the ops between convolutions: norms, activations, sums of skips, resampling. Those that only other
// networks use are timed at full resolution alone.

import {
  add,
  batchNorm,
  channelStatistics,
  concat,
  free,
  gelu,
  globalAveragePool,
  instanceNorm,
  instanceNormRelu,
  keep,
  leakyRelu,
  logSoftmax,
  maskChannels,
  maxPool3d,
  relu,
  sigmoid,
  softmax,
  type Tensor,
  tanh,
  tensor,
  upsampleNearest,
  upsampleTrilinear,
} from "../../engine/index.ts";
import { partialMoments } from "../../engine/ops/instanceNorm.ts";
import { VNET } from "../../model/networks/vnet.ts";
import type { Array64 } from "../../test/support/gradcheck.ts";
import * as distances from "../../test/support/reference/distances.ts";
import * as norms from "../../test/support/reference/norms.ts";
import * as resampling from "../../test/support/reference/resampling.ts";

import { normal } from "../values.ts";
import { against, forward, type KernelCase, type Part } from "./case.ts";
import { pairCase } from "./pairs.ts";

const KINK = 1e-7; // a step so small that no value crosses 0

const map = (x: Array64, f: (value: number, i: number) => number): Array64 => ({ ...x, data: x.data.map(f) });

/** The cases of a network with `filters` filters, on a patch [D,H,W]. */
export function volumeCases(filters: number, patch: readonly number[]): KernelCase[] {
  const levels = Array.from({ length: VNET.levels }, (_, level) => ({
    channels: filters * 2 ** level,
    size: patch.map((edge) => edge / 2 ** level),
  }));
  const half = patch.map((edge) => edge / 2);
  return [
    ...levels.flatMap(({ channels, size }) => [
      normCase("instanceNorm", channels, size),
      fusedCase(channels, size),
      handedCase(channels, size),
      unary("relu", channels, size, RELU),
      sumCase(channels, size),
    ]),
    normCase("batchNorm", filters, patch),
    ...Object.entries(UNARY).map(([op, one]) => unary(op, filters, patch, one)),
    unary("softmax", VNET.classes, patch, SOFTMAX),
    unary("logSoftmax", VNET.classes, patch, LOG_SOFTMAX),
    unary("upsampleNearest", filters, half, {
      run: upsampleNearest,
      reference: resampling.upsampleNearest,
      reads: ["dy"],
    }),
    unary("upsampleTrilinear", filters, half, {
      run: upsampleTrilinear,
      reference: resampling.upsampleTrilinear,
      reads: ["dy"],
    }),
    concatCase(filters / 2, patch),
    pairCase("multiply", filters, patch),
    pairCase("leakyReluSlope", filters, patch),
    maskCase(VNET.classes, patch),
  ];
}

/** An op of one input: its function, its reference, and the tensors that its gradient must read. */
interface Unary {
  run: (x: Tensor) => Tensor;
  reference: (x: Array64) => Array64;
  reads?: readonly string[];
  part?: Part;
  step?: number;
}

const RELU: Unary = { run: relu, reference: (x) => map(x, (value) => Math.max(value, 0)), step: KINK };
const SOFTMAX: Unary = { run: softmax, reference: norms.softmax, part: "voxels" };
const LOG_SOFTMAX: Unary = { run: logSoftmax, reference: norms.logSoftmax, part: "voxels" };

const UNARY: Readonly<Record<string, Unary>> = {
  leakyRelu: {
    run: (x) => leakyRelu(x, 0.2),
    reference: (x) => map(x, (value) => (value > 0 ? value : 0.2 * value)),
    step: KINK,
  },
  gelu: {
    run: gelu,
    reference: (x) => map(x, (value) => value * norms.normalIntegral(value)),
    part: "voxels",
  },
  sigmoid: { run: sigmoid, reference: (x) => map(x, (value) => 1 / (1 + Math.exp(-value))) },
  tanh: { run: tanh, reference: (x) => map(x, Math.tanh) },
  maxPool3d: { run: maxPool3d, reference: resampling.maxPool3d, step: KINK },
  globalAveragePool: {
    run: globalAveragePool,
    reference: (x) => ({
      shape: [1, 1],
      data: Float64Array.of(x.data.reduce((a, b) => a + b, 0) / x.data.length),
    }),
    reads: ["dy"],
  },
  channelStatistics: { run: channelStatistics, reference: (x) => distances.channelStatistics(x) },
};

/** A gradient of an activation must read dy, and the input or the output. */
function unary(
  op: string,
  channels: number,
  size: readonly number[],
  { run, reference, reads = ["x", "dy"], part = "channel", step }: Unary,
): KernelCase {
  const inputs = { x: () => normal([1, channels, ...size]) };
  return {
    op,
    detail: `${channels}`,
    size,
    inputs,
    run: ({ x }) => run(x!),
    passes: [forward(inputs), { name: "backward", by: ["x"], reads }],
    check: against(({ x }) => reference(x!), part, step),
  };
}

/** A norm of one sample, where instance norm and batch norm are the same function. */
function normCase(op: "instanceNorm" | "batchNorm", channels: number, size: readonly number[]): KernelCase {
  const inputs = {
    x: () => normal([1, channels, ...size]),
    weight: () => normal([channels], 2),
    bias: () => normal([channels], 3),
  };
  const statistics = ({ device }: Tensor) => ({
    mean: tensor(device, [channels], new Float32Array(channels)),
    variance: tensor(device, [channels], new Float32Array(channels).fill(1)),
  });
  return {
    op,
    detail: `${channels}`,
    size,
    inputs,
    run: ({ x, weight, bias }) =>
      op === "instanceNorm"
        ? instanceNorm(x!, weight!, bias!)
        : batchNorm(x!, weight!, bias!, statistics(x!)),
    passes: [
      forward(inputs),
      { name: "backward", by: ["x", "weight", "bias"], reads: ["x", "weight", "dy"] },
    ],
    check: against(({ x, weight, bias }) => norms.instanceNorm(x!, weight!, bias!), "channel"),
  };
}

/** The norm, ReLU and skip that follow a convolution on the way up. */
function fusedCase(channels: number, size: readonly number[]): KernelCase {
  const inputs = {
    x: () => normal([1, channels, ...size]),
    weight: () => normal([channels], 2),
    bias: () => normal([channels], 5),
    skip: () => normal([1, channels, ...size], 4),
  };
  return {
    op: "instanceNormRelu",
    detail: `${channels}, and a skip`,
    size,
    inputs,
    run: ({ x, weight, bias, skip }) => instanceNormRelu(x!, weight!, bias!, { skip: skip! }),
    passes: [
      forward(inputs),
      { name: "backward", by: ["x", "weight", "bias"], reads: ["x", "weight", "bias", "dy"] },
    ],
    check: against(
      ({ x, weight, bias, skip }) =>
        map(norms.instanceNorm(x!, weight!, bias!), (value, i) => Math.max(value, 0) + skip!.data[i]!),
      "channel",
      KINK,
    ),
  };
}

/** Norm and ReLU with the moments that a convolution has computed: x is read once. */
function handedCase(channels: number, size: readonly number[]): KernelCase {
  const inputs = {
    x: () => normal([1, channels, ...size]),
    weight: () => normal([channels], 2),
    bias: () => normal([channels], 5),
  };
  let moments: Tensor | null = null;
  return {
    op: "instanceNormRelu",
    detail: `${channels}, moments given`,
    size,
    inputs,
    run: ({ x, weight, bias }) => {
      moments ??= keep(partialMoments(x!));
      return instanceNormRelu(x!, weight!, bias!, { moments });
    },
    passes: [forward(inputs)],
    check: against(
      ({ x, weight, bias }) => map(norms.instanceNorm(x!, weight!, bias!), (value) => Math.max(value, 0)),
      "channel",
      KINK,
    ),
    finish: () => moments && free(moments),
  };
}

/** The addition of two tensors, whose gradients are dy itself. */
function sumCase(channels: number, size: readonly number[]): KernelCase {
  const inputs = { a: () => normal([1, channels, ...size]), b: () => normal([1, channels, ...size], 2) };
  return {
    op: "add",
    detail: `${channels}`,
    size,
    inputs,
    run: ({ a, b }) => add(a!, b!),
    passes: [forward(inputs)],
    check: against(({ a, b }) => map(a!, (value, i) => value + b!.data[i]!), "channel"),
  };
}

/** Every second channel is absent. */
function maskCase(channels: number, size: readonly number[]): KernelCase {
  const mask = Float32Array.from({ length: channels }, (_, c) => c % 2);
  const inputs = {
    x: () => normal([1, channels, ...size]),
    mask: () => ({ shape: [1, channels], data: mask }),
  };
  return {
    op: "maskChannels",
    detail: `${channels}`,
    size,
    inputs,
    run: ({ x, mask }) => maskChannels(x!, mask!),
    passes: [forward(inputs), { name: "backward", by: ["x"], reads: ["dy"] }],
    check: against(({ x }) => {
      const voxels = x!.data.length / channels;
      const image = x!.data.map((value, i) => (mask[Math.floor(i / voxels)] ? value : 0));
      const planes = image.map((_, i) => mask[Math.floor(i / voxels)]!);
      return { shape: [1, 2 * channels, ...size], data: Float64Array.from([...image, ...planes]) };
    }),
  };
}

function concatCase(channels: number, size: readonly number[]): KernelCase {
  const inputs = { a: () => normal([1, channels, ...size]), b: () => normal([1, channels, ...size], 2) };
  return {
    op: "concat",
    detail: `${channels} and ${channels}`,
    size,
    inputs,
    run: ({ a, b }) => concat(a!, b!),
    passes: [forward(inputs), { name: "backward", by: ["a", "b"], reads: ["dy"] }],
    check: against(({ a, b }) => {
      const data = new Float64Array(a!.data.length + b!.data.length);
      data.set(a!.data);
      data.set(b!.data, a!.data.length);
      return { shape: [1, 2 * channels, ...size], data };
    }),
  };
}
