// Versions of the norm after every convolution, which memory bounds: it has hardly any arithmetic.

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
      idea: "one workgroup per channel: mean, variance, result",
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
      idea: "one workgroup per chunk of voxels; the chunks' moments take one reading and are merged",
      run: ({ x, weight, bias }) => norm(x!, weight!, bias!),
    },
  ],
  lessons: `On lavapipe a load or a store of 8 lanes takes some 30 cycles, wherever it goes, so the number of readings
decides: two instead of three, and one if the convolution has computed the moments of its output. With one workgroup
per channel a GPU of a hundred cores has eight at work. A mean of squares would also need one reading, but it loses all
digits where the mean is much larger than the deviation.`,
};
