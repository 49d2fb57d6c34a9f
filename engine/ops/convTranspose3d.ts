import { gather, pair, scatter } from "../convolution/convolution.ts";
import { type Geometry, split } from "../convolution/geometry.ts";
import type { Vec3 } from "../gpu/grid.ts";
import { type Input, record } from "../autograd/tape.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { channelSum } from "./channelSum.ts";
import { checkKernel } from "./conv3d.ts";

export interface ConvTransposeOptions {
  stride?: number;
  padding?: number;
  /** Voxels added to the far end of each axis, as PyTorch's output_padding. */
  outputPadding?: number;
}

/**
 * Transposed convolution, as PyTorch's conv_transpose3d. x [N,I,D,H,W], weight [I,O,K,K,K] with K at most 4,
 * bias [O] or null → [N,O,D',H',W'] with D' = (D-1)·stride - 2·padding + K + outputPadding. Throws if shapes
 * do not match, or if the stride is not 1 or 2.
 */
export function convTranspose3d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  { stride = 2, padding = 0, outputPadding = 0 }: ConvTransposeOptions = {},
): Tensor {
  const kernel = weight.shape[2]!;
  const geometry: Geometry = { kernel, stride, padding };
  const { channels, size } = split(x);
  checkKernel("convTranspose3d", weight, stride);
  if (weight.shape[0] !== channels) {
    throw new Error(
      `convTranspose3d: weight [${weight.shape}] takes ${weight.shape[0]} channels, x [${x.shape}] has ${channels}`,
    );
  }
  const outSize = size.map((s) => (s - 1) * stride - 2 * padding + kernel + outputPadding) as unknown as Vec3;

  const inputs: Input[] = [
    [x, (dy) => gather(dy, weight, null, size, geometry)],
    [weight, (dy) => pair(x, dy, geometry)],
  ];
  if (bias) inputs.push([bias, (dy) => channelSum(dy)]);
  return record(scatter(x, weight, bias, outSize, geometry), inputs, [x, weight]);
}
