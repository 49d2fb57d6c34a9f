// Versions of the forward pass of 3³ at stride 1, the most frequent convolution. The data gradient is the
// same kernel.

import { gather } from "../../engine/convolution/convolution.ts";
import { SAME, split } from "../../engine/convolution/geometry.ts";
import { type Choice, Tensor, withTuning } from "../../engine/index.ts";
import { convolutionCheck } from "../kernels/convolutionCheck.ts";
import type { Tensors } from "../kernels/case.ts";
import { normal, sizeOf } from "../values.ts";
import { EIGHT, EIGHT_OR_MORE, type Subject } from "./subject.ts";

const check = convolutionCheck(SAME, false);

export const conv3d: Subject = {
  title: "3³ convolution, forward",
  inputs: (channels, size) => ({
    x: normal([1, channels, ...size]),
    weight: normal([channels, channels, 3, 3, 3], 2, (27 * channels) ** -0.5),
  }),
  least: (channels, size) => ({
    operations: 2 * 27 * channels ** 2 * sizeOf(size),
    bytes: 4 * (2 * channels * sizeOf(size) + 27 * channels ** 2),
  }),
  error: (inputs, result) =>
    check({ pass: { name: "forward", by: [], reads: [] }, inputs, dy: null, results: [result] }),
  versions: [
    {
      file: "bench/lab/conv3d/1-naive.wgsl",
      idea: "an invocation computes one element",
      run: (inputs, own) =>
        convolved(inputs, ({ batch: _, ...operands }, work) => {
          own["forward"]!(operands, { invocations: operands.y.size, work });
        }),
    },
    {
      file: "shaders/conv3d.wgsl",
      idea: "8 voxels x 8 channels in registers, all load all weights",
      run: (inputs) => engine(inputs, { kernel: "plain", WG: 64, TW: 8 }),
    },
    {
      file: "bench/lab/conv3d/3-broadcast.wgsl",
      idea: "a lane loads one channel's weight and broadcasts it",
      needs: EIGHT_OR_MORE,
      run: (inputs, own) =>
        convolved(inputs, (operands, work) => {
          const { size, batch, outputs } = operands;
          const WG = 64;
          const tiles = Math.ceil((size[0] * size[1] * Math.ceil(size[2] / 8)) / WG) * WG;
          const invocations = batch * Math.ceil(outputs / 8) * tiles;
          own["forward"]!({ ...operands, WG, tiles }, { invocations, work });
        }),
    },
    {
      file: "shaders/conv3dSubgroups.wgsl",
      idea: "two rows, a plane of taps at once",
      needs: EIGHT_OR_MORE,
      run: (inputs) => engine(inputs, { kernel: "subgroups", WG: 64 }),
    },
    {
      file: "shaders/conv3dEight.wgsl",
      idea: "lanes are output channels; a load brings eight voxels, which are broadcast",
      needs: EIGHT,
      run: (inputs) => engine(inputs, { kernel: "eight" }),
    },
  ],
  lessons: `On lavapipe (a software adapter whose subgroups have 8 lanes):
- A load is gathered lane by lane. It takes as long as some 20 multiply-adds, whether the lanes read one element, eight
  neighbours or eight scattered ones. A broadcast takes one or two. So the multiply-adds per load decide.
- Code beyond the instruction cache (32 KiB) costs more than anything else: a loop body of 600 multiply-adds is best.
- Barriers in loops are ruinous. fma compiles to a multiplication and an addition.
- Loops are unrolled up to some 30 rounds. In a longer loop the arrays that it indexes leave the registers.

Versions that lost, with the fraction of the multiply-add rate and the time to compile:
  lanes are tiles, 16 output channels, 2 rows              35 %    6 s
  lanes are tiles, 16 output channels, 4 rows              43 %   20 s
  accumulators that slide along z                       34-36 %   5-35 s
  weights staged in workgroup memory, with barriers        15 %
  loops of 64 rounds, not unrolled                          7 %
  kept: explicit rows (conv3dEight.wgsl)                42-50 %  1.2 s`,
};

type Operands = {
  x: Tensor;
  weight: Tensor;
  y: Tensor;
  size: readonly [number, number, number];
  batch: number;
  inputs: number;
  outputs: number;
};

/** Convolves x by a kernel of the lab. `work` is the multiplications and additions. */
function convolved({ x, weight }: Tensors, call: (operands: Operands, work: number) => void): Tensor {
  const { batch, channels: inputs, size } = split(x!);
  const outputs = weight!.shape[0]!;
  const y = new Tensor(x!.device, [batch, outputs, ...size]);
  call({ x: x!, weight: weight!, y, size, batch, inputs, outputs }, 2 * 27 * inputs * y.size);
  return y;
}

function engine({ x, weight }: Tensors, forward: Choice): Tensor {
  return withTuning(x!.device, { forward }, () => gather(x!, weight!, null, split(x!).size, SAME));
}
