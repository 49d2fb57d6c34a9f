// The norm after every convolution: all memory, hardly any arithmetic.

import { instanceNorm as norm, Tensor } from "../../engine/index.ts";
import * as reference from "../../test/support/reference/norms.ts";
import { against } from "../kernels/case.ts";
import { normal, sizeOf } from "../values.ts";
import type { Subject } from "./subject.ts";

const check = against(({ x, weight, bias }) => reference.instanceNorm(x!, weight!, bias!), "channel");

export const instanceNorm: Subject = {
  title: "instance norm, forward",
  inputs: (channels, size) => ({
    x: normal([1, channels, ...size]),
    weight: normal([channels], 2),
    bias: normal([channels], 3),
  }),
  least: (channels, size) => ({ operations: 0, bytes: 4 * (2 * channels * sizeOf(size) + 2 * channels) }),
  error: (inputs, result) =>
    check({ pass: { name: "forward", by: [], reads: [] }, inputs, dy: null, results: [result] }),
  versions: [
    {
      file: "bench/lab/instanceNorm/1-naive.wgsl",
      idea: "a workgroup a channel: mean, variance, result",
      run: ({ x, weight, bias }, own) => {
        const y = new Tensor(x!.device, x!.shape);
        const [batch = 0, channels = 0, ...size] = y.shape;
        const operands = {
          x: x!,
          weight: weight!,
          bias: bias!,
          y,
          channels,
          voxels: sizeOf(size),
          eps: 1e-5,
        };
        own["forward"]!(operands, { groups: [batch * channels, 1, 1] });
        return y;
      },
    },
    {
      file: "shaders/instanceNorm.wgsl",
      idea: "a workgroup a chunk of 4096 voxels, whose moments are taken in one reading and merged",
      run: ({ x, weight, bias }) => norm(x!, weight!, bias!),
    },
  ],
  learnt: `A load or a store takes some 30 cycles for 8 lanes of lavapipe, whatever it hits, so the readings count: two instead of
three, and one where the convolution hands its output's moments on. A channel a workgroup leaves a GPU of a hundred
cores with eight at work. A mean of squares would need one reading too, but loses all digits where mean >> deviation.`,
};
