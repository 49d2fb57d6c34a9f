// The three sums of which conv3d, convTranspose3d and their gradients are made. With the small grid p
// (a convolution's output) and the large grid q = S·p + k - P (its input):
//   gather   small[n,o,p]  = Σ_{c,k} weight[o,c,k] · large[n,c,q]
//   scatter  large[n,c,q]  = Σ_{o,k} weight[o,c,k] · small[n,o,p]
//   pair     weight[o,c,k] = Σ_{n,p} small[n,o,p] · large[n,c,q]
// conv3d is gather, its gradients scatter and pair; convTranspose3d is scatter, its gradients gather and pair.

import { shader, type Vec3 } from "./shader.ts";
import { scope, Tensor } from "./tensor.ts";

const conv = await shader("conv3d");
const transpose = await shader("convTranspose3d");

/** Kernel edge, stride and padding, the same along all axes. */
export interface Geometry {
  kernel: number;
  stride: number;
  padding: number;
}

/** [N, C] and [D, H, W] of a volume. */
export function split({ shape }: Tensor): { batch: number; channels: number; size: Vec3 } {
  const [batch, channels, ...size] = shape as [number, number, number, number, number];
  return { batch, channels, size: size as unknown as Vec3 };
}

/** weight [O,C,K,K,K], large [N,C,…], bias [O] or null → small [N,O,…outSize]. */
export function gather(large: Tensor, weight: Tensor, bias: Tensor | null, outSize: Vec3, geometry: Geometry): Tensor {
  const { batch, channels: inputs, size } = split(large);
  const outputs = weight.shape[0]!;
  const small = new Tensor(large.device, [batch, outputs, ...outSize]);
  const TW = tileWidth(outSize[2]);
  conv.forward(
    {
      ...overrides(geometry),
      ...{ x: large, weight, bias: bias ?? weight, BIAS: bias !== null, y: small, TW },
      ...{ size, inputs, outSize, outputs, batch, splits: 1 },
    },
    {
      invocations: batch * Math.ceil(outputs / 8) * outSize[0] * outSize[1] * Math.ceil(outSize[2] / TW),
      work: 2 * small.size * inputs * geometry.kernel ** 3,
    },
  );
  return small;
}

/** weight [O,C,K,K,K], small [N,O,…], bias [C] or null → large [N,C,…outSize]. */
export function scatter(small: Tensor, weight: Tensor, bias: Tensor | null, outSize: Vec3, geometry: Geometry): Tensor {
  const { batch, channels: inputs, size } = split(small);
  const outputs = weight.shape[1]!;
  const large = new Tensor(small.device, [batch, outputs, ...outSize]);
  const S = geometry.stride;
  const TW = tileWidth(Math.ceil(outSize[2] / S));
  const tiles = Math.ceil(outSize[2] / (S * TW)) * S;
  transpose.forward(
    {
      ...overrides(geometry),
      ...{ x: small, weight, bias: bias ?? weight, BIAS: bias !== null, y: large, TW },
      ...{ size, inputs, outSize, outputs, batch },
    },
    {
      invocations: batch * Math.ceil(outputs / 8) * outSize[0] * outSize[1] * tiles,
      work: 2 * small.size * outputs * geometry.kernel ** 3,
    },
  );
  return large;
}

/** small [N,O,…], large [N,C,…] → weight [O,C,K,K,K]; in two stages, since each weight sums over all voxels. */
export function pair(small: Tensor, large: Tensor, geometry: Geometry): Tensor {
  return scope(() => {
    const { batch, channels: outputs, size: outSize } = split(small);
    const { channels: inputs, size } = split(large);
    const K = geometry.kernel;
    const dweight = new Tensor(small.device, [outputs, inputs, K, K, K]);
    const tiles = K * K * Math.ceil(inputs / 2) * Math.ceil(outputs / 8);
    const splits = shares(batch * outSize[0] * outSize[1], tiles, dweight.size);
    const partial = new Tensor(small.device, [splits, ...dweight.shape]);
    conv.backwardWeight(
      {
        ...overrides(geometry),
        ...{ x: large, dy: small, partial },
        ...{ size, inputs, outSize, outputs, batch, splits },
      },
      { invocations: splits * tiles, work: 2 * small.size * inputs * K ** 3 },
    );
    conv.sumSplits({ partial, dweight }, dweight.size);
    return dweight;
  });
}

const INVOCATIONS = 16384; // enough to fill a large GPU
const PARTIAL = 2 ** 23; // elements of the partial sums: 32 MiB

/** Into how many shares the rows are cut: a matter of shapes alone, so that sums repeat on every adapter. */
function shares(rows: number, tiles: number, weights: number): number {
  return Math.max(1, Math.min(rows, Math.ceil(INVOCATIONS / tiles), Math.floor(PARTIAL / weights)));
}

function tileWidth(width: number): number {
  return width >= 5 ? 8 : width >= 3 ? 4 : width;
}

function overrides({ kernel, stride, padding }: Geometry): { K: number; S: number; P: number } {
  return { K: kernel, S: stride, P: padding };
}
