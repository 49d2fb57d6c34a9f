// The three sums behind conv3d, convTranspose3d and their gradients. With the small grid p (a convolution's
// output) and the large grid q = S·p + k - P (its input):
//   gather   small[n,o,p]  = Σ_{c,k} weight[o,c,k] · large[n,c,q]
//   scatter  large[n,c,q]  = Σ_{o,k} weight[o,c,k] · small[n,o,p]
//   pair     weight[o,c,k] = Σ_{n,p} small[n,o,p] · large[n,c,q]
// conv3d is gather, its gradients scatter and pair; convTranspose3d is scatter, its gradients gather and
// pair.

import type { Vec3 } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import { scope, Tensor } from "../autograd/tensor.ts";
import { pickVolumeRow, pickWeightRow } from "./families.ts";
import { type Geometry, split } from "./geometry.ts";
import type { VolumeCall, WeightCall } from "./row.ts";
import { tuningOf } from "./tuning.ts";

const { sumSplits } = await shader("conv3d");

/** A volume, and its moments [N,C,chunks,4] (see statisticsOf() in instanceNorm.ts) or null. */
export interface WithMoments {
  y: Tensor;
  moments: Tensor | null;
}

/** weight [O,C,K,K,K], large [N,C,...], bias [O] or null → small [N,O,...outSize]. */
export function gather(
  large: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  outSize: Vec3,
  geometry: Geometry,
): Tensor {
  return gatherWithMoments(large, weight, bias, outSize, geometry, false).y;
}

/** gather() and the moments of its result, if they are `wanted` and the kernel computes them. */
export function gatherWithMoments(
  large: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  outSize: Vec3,
  geometry: Geometry,
  wanted: boolean,
): WithMoments {
  const [outputs, inputs] = weight.shape as [number, number];
  const taps = geometry.kernel ** 3;
  const strides = { outputStride: inputs * taps, inputStride: taps, reversed: 0 } as const;
  return volume("gather", large, { weight, bias, outputs, strides, outSize, geometry, moments: wanted });
}

/** weight [O,C,K,K,K], small [N,O,...], bias [C] or null → large [N,C,...outSize]. */
export function scatter(
  small: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  outSize: Vec3,
  geometry: Geometry,
): Tensor {
  const outputs = weight.shape[1]!;
  const taps = geometry.kernel ** 3;
  const strides = { outputStride: taps, inputStride: outputs * taps, reversed: 1 } as const;
  return volume("scatter", small, { weight, bias, outputs, strides, outSize, geometry, moments: false }).y;
}

type Wanted = Pick<VolumeCall, "strides" | "outSize" | "geometry" | "moments"> & {
  weight: Tensor;
  bias: Tensor | null;
  outputs: number;
};

function volume(
  sum: "gather" | "scatter",
  x: Tensor,
  { weight, bias, outputs, strides, outSize, geometry, moments }: Wanted,
): WithMoments {
  const { batch, channels: inputs, size } = split(x);
  const y = new Tensor(x.device, [batch, outputs, ...outSize], x.precision);
  const biased = bias ? 1 : 0;
  const operands = { x, y, weight, bias: bias ?? weight, biased, size, inputs, outputs, batch } as const;
  const work = workOf(sum === "gather" ? y : x, weight);
  const call = { operands, strides, outSize, geometry, moments, work };
  const chosen = { tuning: tuningOf(x.device), gpu: x.device };
  const { row, sizes } = pickVolumeRow(sum, call, chosen);
  return { y, moments: row.run(call, row.grid(call, sizes), sizes) ?? null };
}

/**
 * small [N,O,...], large [N,C,...] → weight [O,C,K,K,K]: in shares of the voxels, and then the sum of the
 * shares.
 */
export function pair(small: Tensor, large: Tensor, geometry: Geometry): Tensor {
  return scope(() => {
    const { batch, channels: outputs, size: outSize } = split(small);
    const { channels: inputs, size } = split(large);
    const { kernel: K } = geometry;
    const { device } = small;
    const dweight = new Tensor(device, [outputs, inputs, K, K, K]);
    const work = workOf(small, dweight);
    const operands = { x: large, dy: small, size, inputs, outputs, batch };
    const call: WeightCall = { operands, outSize, geometry, work };
    const { row, sizes } = pickWeightRow(call, { tuning: tuningOf(device), gpu: device });
    const grid = row.grid(call, sizes);
    const { splits } = grid;
    const partial = splits === 1 ? dweight : new Tensor(device, [splits, ...dweight.shape]);
    row.run({ ...call, partial }, grid, sizes);
    if (splits > 1) sumSplits({ partial, dweight }, dweight.size);
    return dweight;
  });
}

/** Multiplications and additions of a convolution whose small grid is `small`. */
function workOf(small: Tensor, weight: Tensor): number {
  return (2 * small.size * weight.size) / small.shape[1]!;
}
