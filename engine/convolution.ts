// The three sums of which conv3d, convTranspose3d and their gradients are made. With the small grid p
// (a convolution's output) and the large grid q = S·p + k - P (its input):
//   gather   small[n,o,p]  = Σ_{c,k} weight[o,c,k] · large[n,c,q]
//   scatter  large[n,c,q]  = Σ_{o,k} weight[o,c,k] · small[n,o,p]
//   pair     weight[o,c,k] = Σ_{n,p} small[n,o,p] · large[n,c,q]
// conv3d is gather, its gradients scatter and pair; convTranspose3d is scatter, its gradients gather and pair.

import type { Device } from "./device.ts";
import { shader, type Vec3 } from "./shader.ts";
import { scope, Tensor } from "./tensor.ts";

const conv = await shader("conv3d");
const convSubgroups = await shader("conv3dSubgroups");
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
export function gather(
  large: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  outSize: Vec3,
  geometry: Geometry,
): Tensor {
  const { batch, channels: inputs, size } = split(large);
  const outputs = weight.shape[0]!;
  const small = new Tensor(large.device, [batch, outputs, ...outSize]);
  const work = 2 * small.size * inputs * geometry.kernel ** 3;
  const operands = { x: large, weight, bias: bias ?? weight, biased: bias ? 1 : 0, y: small };
  const sizes = { size, inputs, outputs, batch };
  const blocks = batch * Math.ceil(outputs / 8);
  const lanes = lanesOf(large.device);
  if (isSame(geometry) && size[2] > 2 && lanes.min >= 8) {
    const WG = Math.min(lanes.max, 64);
    const tiles = size[0] * Math.ceil(size[1] / 2) * Math.ceil(size[2] / 8);
    const rounded = Math.ceil(tiles / WG) * WG;
    convSubgroups.forward(
      { ...operands, ...sizes, WG, tiles: rounded, splits: 0 },
      { invocations: blocks * rounded, work },
    );
  } else {
    const TW = tileWidth(outSize[2]);
    const tiles = outSize[0] * outSize[1] * Math.ceil(outSize[2] / TW);
    conv.forward(
      { ...operands, ...sizes, ...overrides(geometry), TW, outSize, splits: 1 },
      { invocations: blocks * tiles, work },
    );
  }
  return small;
}

/** weight [O,C,K,K,K], small [N,O,…], bias [C] or null → large [N,C,…outSize]. */
export function scatter(
  small: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  outSize: Vec3,
  geometry: Geometry,
): Tensor {
  if (isSame(geometry)) return scope(() => gather(small, flip(weight), bias, outSize, geometry));
  const { batch, channels: inputs, size } = split(small);
  const outputs = weight.shape[1]!;
  const large = new Tensor(small.device, [batch, outputs, ...outSize]);
  const S = geometry.stride;
  const TW = tileWidth(Math.ceil(outSize[2] / S));
  const tiles = Math.ceil(outSize[2] / (S * TW)) * S;
  transpose.forward(
    {
      ...{ x: small, weight, bias: bias ?? weight, biased: bias ? 1 : 0, y: large },
      ...{ size, inputs, outSize, outputs, batch, ...overrides(geometry), TW },
    },
    {
      invocations: batch * Math.ceil(outputs / 8) * outSize[0] * outSize[1] * tiles,
      work: 2 * small.size * outputs * geometry.kernel ** 3,
    },
  );
  return large;
}

/** weight [O,C,K,K,K] → [C,O,K,K,K] with the taps in reverse: the adjoint of a convolution that keeps its size. */
function flip(weight: Tensor): Tensor {
  const [outputs, inputs, K, ...rest] = weight.shape as [number, number, number, ...number[]];
  const flipped = new Tensor(weight.device, [inputs, outputs, K, ...rest]);
  const unused = { size: [0, 0, 0], outSize: [0, 0, 0], batch: 0, splits: 0, biased: 0 } as const;
  conv.flip({ weight, flipped, inputs, outputs, K, ...unused }, flipped.size);
  return flipped;
}

/** 3³ at stride 1 with padding 1: the convolution most of a network is made of. */
function isSame({ kernel, stride, padding }: Geometry): boolean {
  return kernel === 3 && stride === 1 && padding === 1;
}

/** Invocations of a subgroup; 0 where there are none. */
function lanesOf({ gpu, adapter }: Device): { min: number; max: number } {
  const { subgroupMinSize: min = 0, subgroupMaxSize: max = 0 } = adapter.info;
  return gpu.features.has("subgroups") ? { min, max } : { min: 0, max: 0 };
}

/** small [N,O,…], large [N,C,…] → weight [O,C,K,K,K]; in two stages, since each weight sums over all voxels. */
export function pair(small: Tensor, large: Tensor, geometry: Geometry): Tensor {
  return scope(() => {
    const { batch, channels: outputs, size: outSize } = split(small);
    const { channels: inputs, size } = split(large);
    const K = geometry.kernel;
    const dweight = new Tensor(small.device, [outputs, inputs, K, K, K]);
    const rows = batch * outSize[0] * outSize[1];
    const { min, max } = lanesOf(small.device);
    const byEight = isSame(geometry) && min === 8 && max === 8; // wider ones would idle
    const tiles = byEight
      ? 24 * Math.ceil(inputs / 4) * Math.ceil(outputs / 8)
      : K * K * Math.ceil(inputs / 2) * Math.ceil(outputs / 8);
    const splits = shares(rows, tiles, dweight.size);
    const partial = new Tensor(small.device, [splits, ...dweight.shape]);
    const operands = { x: large, dy: small, partial, size, inputs, outputs, batch, splits, biased: 0 };
    const grid = { invocations: splits * tiles, work: 2 * small.size * inputs * K ** 3 };
    if (byEight) convSubgroups.backwardWeight({ ...operands, tiles: 0 }, grid);
    else conv.backwardWeight({ ...operands, ...overrides(geometry), outSize }, grid);
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
  return width > 4 ? 8 : 4;
}

function overrides({ kernel, stride, padding }: Geometry): { K: number; S: number; P: number } {
  return { K: kernel, S: stride, P: padding };
}
