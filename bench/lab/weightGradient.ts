// Versions of the weight gradient of 3³ at stride 1: few sums, each over all voxels.

import { pair } from "../../engine/convolution/convolution.ts";
import { SAME, split } from "../../engine/convolution/geometry.ts";
import { type Choice, free, Tensor, withTuning } from "../../engine/index.ts";
import { shader } from "../../engine/gpu/shader.ts";
import type { Tensors } from "../kernels/case.ts";
import { convolutionCheck } from "../kernels/convolutionCheck.ts";
import { normal, sizeOf } from "../values.ts";
import { EIGHT, EIGHT_OR_MORE, type Subject } from "./subject.ts";

const check = convolutionCheck(SAME, false);
const conv = await shader("conv3d");

const INVOCATIONS = 16384; // enough to fill a large GPU

export const weightGradient: Subject = {
  title: "3³ convolution, gradient of the weight",
  inputs: (channels, size) => ({
    x: normal([1, channels, ...size]),
    dy: normal([1, channels, ...size], 2),
  }),
  least: (channels, size) => ({
    operations: 2 * 27 * channels ** 2 * sizeOf(size),
    bytes: 4 * (2 * channels * sizeOf(size) + 27 * channels ** 2),
  }),
  error: ({ x, dy }, result) =>
    check({
      pass: { name: "weight gradient", by: ["weight"], reads: [] },
      inputs: { x: x!, weight: result },
      dy: dy!,
      results: [result],
    }),
  versions: [
    {
      file: "bench/lab/weightGradient/1-naive.wgsl",
      idea: "an invocation sums one weight over the whole volume",
      run: ({ x, dy }, own) => {
        const operands = operandsOf(x!, dy!);
        const dweight = gradient(operands, x!);
        own["backwardWeight"]!(
          { ...operands, dweight },
          { invocations: dweight.size, work: workOf(operands) },
        );
        return dweight;
      },
    },
    {
      file: "shaders/conv3d.wgsl",
      idea: "rows are shared out; 8 x 2 channels and a row of taps in registers",
      run: (inputs) => engine(inputs, { kernel: "plain", WG: 64 }),
    },
    {
      file: "bench/lab/weightGradient/3-lanes.wgsl",
      idea: "lanes are output channels; a load brings eight voxels of x",
      needs: EIGHT_OR_MORE,
      run: ({ x, dy }, own) => {
        const operands = operandsOf(x!, dy!);
        const { size, inputs, outputs } = operands;
        const tiles = 24 * Math.ceil(inputs / 4) * Math.ceil(outputs / 8);
        const splits = Math.min(size[0] * size[1], Math.ceil(INVOCATIONS / tiles));
        const dweight = gradient(operands, x!);
        const partial = new Tensor(x!.device, [splits, ...dweight.shape]);
        own["backwardWeight"]!(
          { ...operands, partial, splits },
          { invocations: splits * tiles, work: workOf(operands) },
        );
        conv.sumSplits({ partial, dweight }, dweight.size);
        free(partial);
        return dweight;
      },
    },
    {
      file: "shaders/conv3dEight.wgsl",
      idea: "two rows of dy meet four of x",
      needs: EIGHT,
      run: (inputs) => engine(inputs, { kernel: "eight" }),
    },
    {
      file: "shaders/conv3dRotate.wgsl",
      idea: "lanes are input channels and load four voxels each; dy goes round",
      needs: EIGHT,
      run: (inputs) => engine(inputs, { kernel: "rotate" }),
    },
  ],
  lessons: `Loads decide here too (see conv3d): a load of dy serves one lane, a load of x serves all eight. Loads of
four voxels take hardly longer than loads of one, and lanes that hand their values round need no broadcasts.
Versions tried, with the fraction of lavapipe's multiply-add rate, which is that of single numbers:
  strips of 6, one row                          26 %
  strips of 6, two rows (conv3dEight.wgsl)      29 %
  strips of 6, four rows                        25 %
  all kz at once                             20-27 %
  strips of 8, edges loaded separately          25 %
  four voxels a load (conv3dRotate.wgsl)   106-116 %`,
};

function operandsOf(x: Tensor, dy: Tensor) {
  const { batch, channels: inputs, size } = split(x);
  return { x, dy, size, batch, inputs, outputs: dy.shape[1]! };
}

type Operands = ReturnType<typeof operandsOf>;

function gradient({ outputs, inputs }: Operands, { device }: Tensor): Tensor {
  return new Tensor(device, [outputs, inputs, 3, 3, 3]);
}

function workOf({ dy, inputs }: Operands): number {
  return 2 * 27 * inputs * dy.size;
}

function engine({ x, dy }: Tensors, weightGradient: Choice): Tensor {
  return withTuning(x!.device, { weightGradient }, () => pair(dy!, x!, SAME));
}
