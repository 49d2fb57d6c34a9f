// The three sums of which conv3d, convTranspose3d and their gradients are made. With the small grid p
// (a convolution's output) and the large grid q = S·p + k - P (its input):
//   gather   small[n,o,p]  = Σ_{c,k} weight[o,c,k] · large[n,c,q]
//   scatter  large[n,c,q]  = Σ_{o,k} weight[o,c,k] · small[n,o,p]
//   pair     weight[o,c,k] = Σ_{n,p} small[n,o,p] · large[n,c,q]
// conv3d is gather, its gradients scatter and pair; convTranspose3d is scatter, its gradients gather and pair.

import type { Device } from "../gpu/device.ts";
import type { Vec3 } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import { free, scope, Tensor } from "../autograd/tensor.ts";
import { PLAIN, tuningOf } from "./tuning.ts";

const conv = await shader("conv3d");
const subgroups = await shader("conv3dSubgroups");
const eight = await shader("conv3dEight");
const halving = await shader("conv3dHalving");
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

/** What is convolved with, as a convolution's forward pass sees it: weights [O,C,K,K,K], or the exchange of both channels. */
interface Filter {
  weight: Tensor;
  inputs: number;
  outputs: number;
  /** Elements from one output channel to the next, and from one input channel. */
  outputStride: number;
  inputStride: number;
  /** 1 if the taps are in reverse. */
  reversed: number;
}

/** A result, and its moments [N,C,chunks,4] (see statisticsOf() in instanceNorm.ts) or null. */
export interface WithMoments {
  y: Tensor;
  moments: Tensor | null;
}

/** weight [O,C,K,K,K], large [N,C,…], bias [O] or null → small [N,O,…outSize]. */
export function gather(
  large: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  outSize: Vec3,
  geometry: Geometry,
): Tensor {
  return gatherWithMoments(large, weight, bias, outSize, geometry, false).y;
}

/** gather() and the moments of its result, if `wanted` and the kernel computes them. */
export function gatherWithMoments(
  large: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  outSize: Vec3,
  geometry: Geometry,
  wanted: boolean,
): WithMoments {
  const [outputs, inputs, K] = weight.shape as [number, number, number];
  if (halves(geometry, large.device)) {
    const small = new Tensor(large.device, [large.shape[0]!, outputs, ...outSize], large.precision);
    const grids = { large, small, ...extents(large, small) };
    const tiles = Math.ceil((outSize[0] * outSize[1]) / 8) * Math.ceil(outSize[2] / 4);
    halving.gather(
      { ...grids, weight, bias: bias ?? weight, biased: bias ? 1 : 0, y: small, splits: 0 },
      { invocations: 8 * grids.batch * Math.ceil(outputs / 16) * tiles, work: workOf(small, weight) },
    );
    return { y: small, moments: null };
  }
  const strides = { outputStride: inputs * K ** 3, inputStride: K ** 3, reversed: 0 };
  return convolve(large, { weight, inputs, outputs, ...strides }, bias, outSize, geometry, wanted);
}

function convolve(
  x: Tensor,
  filter: Filter,
  bias: Tensor | null,
  outSize: Vec3,
  geometry: Geometry,
  moments: boolean,
): WithMoments {
  const { batch, size } = split(x);
  const { weight, outputs } = filter;
  const y = new Tensor(x.device, [batch, outputs, ...outSize], x.precision);
  const work = workOf(y, weight);
  const operands = { ...filter, x, bias: bias ?? weight, biased: bias ? 1 : 0, y, size, batch };
  const blocks = batch * Math.ceil(outputs / 8);
  const choice = isSame(geometry) ? tuningOf(x.device).forward : PLAIN.forward;
  if (choice.kernel === "eight") {
    const tiles = size[0] * Math.ceil(size[1] / 8) * Math.ceil(size[2] / 8);
    const momentsOfTiles = moments ? new Tensor(x.device, [batch, outputs, tiles, 4]) : scratch(x.device);
    eight.forward(
      { ...operands, momentsOfTiles, moments, splits: 0 },
      { invocations: 8 * blocks * tiles, work },
    );
    if (moments) return { y, moments: momentsOfTiles };
    free(momentsOfTiles);
  } else if (choice.kernel === "subgroups" && size[2] > 2) {
    const { WG } = choice;
    const tiles = size[0] * Math.ceil(size[1] / 2) * Math.ceil(size[2] / 8);
    const rounded = Math.ceil(tiles / WG) * WG;
    subgroups.forward({ ...operands, WG, tiles: rounded }, { invocations: blocks * rounded, work });
  } else {
    const { WG, TW: most } = choice.kernel === "plain" ? choice : PLAIN.forward;
    const TW = Math.min(most, tileWidth(outSize[2]));
    const tiles = outSize[0] * outSize[1] * Math.ceil(outSize[2] / TW);
    conv.forward(
      { ...operands, ...overrides(geometry), WG, TW, outSize, splits: 1 },
      { invocations: blocks * tiles, work },
    );
  }
  return { y, moments: null };
}

/** Stands where a kernel binds a tensor that it does not touch. */
function scratch(device: Device): Tensor {
  return new Tensor(device, [4]);
}

/** weight [O,C,K,K,K], small [N,O,…], bias [C] or null → large [N,C,…outSize]. */
export function scatter(
  small: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  outSize: Vec3,
  geometry: Geometry,
): Tensor {
  const { batch, channels: inputs, size } = split(small);
  const outputs = weight.shape[1]!;
  if (isSame(geometry)) {
    const taps = geometry.kernel ** 3;
    const strides = { outputStride: taps, inputStride: outputs * taps, reversed: 1 };
    return convolve(small, { weight, inputs, outputs, ...strides }, bias, outSize, geometry, false).y;
  }
  const large = new Tensor(small.device, [batch, outputs, ...outSize], small.precision);
  if (halves(geometry, small.device) && outSize.every((s, i) => s === 2 * size[i]!)) {
    const tiles = size[0] * size[1] * Math.ceil(size[2] / 8);
    halving.scatter(
      {
        ...{ small, weight, bias: bias ?? weight, biased: bias ? 1 : 0, y: large, splits: 0 },
        ...extents(large, small),
      },
      { invocations: 8 * batch * Math.ceil(outputs / 8) * tiles, work: workOf(small, weight) },
    );
    return large;
  }
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
      work: workOf(small, weight),
    },
  );
  return large;
}

/** 3³ at stride 1 with padding 1: the convolution most of a network is made of. */
function isSame({ kernel, stride, padding }: Geometry): boolean {
  return kernel === 3 && stride === 1 && padding === 1;
}

/** 2³ at stride 2 without padding, which halves a volume, where there are kernels for it. */
function halves({ kernel, stride, padding }: Geometry, device: Device): boolean {
  return kernel === 2 && stride === 2 && padding === 0 && tuningOf(device).halving.kernel === "halving";
}

/** The sizes that conv3dHalving.wgsl asks for. */
function extents(large: Tensor, small: Tensor) {
  const { batch, channels: largeChannels, size: largeSize } = split(large);
  const { channels: smallChannels, size: smallSize } = split(small);
  return { batch, largeChannels, largeSize, smallChannels, smallSize };
}

/** Multiplications and additions of a convolution whose small grid, or any at stride 1, is `small`. */
function workOf(small: Tensor, weight: Tensor): number {
  return (2 * small.size * weight.size) / small.shape[1]!;
}

/** small [N,O,…], large [N,C,…] → weight [O,C,K,K,K]; in two stages where there are many voxels, since each weight sums over all of them. Into how many shares the rows are cut is a matter of shapes alone, so that sums repeat. */
export function pair(small: Tensor, large: Tensor, geometry: Geometry): Tensor {
  return scope(() => {
    const { batch, channels: outputs, size: outSize } = split(small);
    const { channels: inputs, size } = split(large);
    const K = geometry.kernel;
    const dweight = new Tensor(small.device, [outputs, inputs, K, K, K]);
    const choice = isSame(geometry) ? tuningOf(small.device).weightGradient : PLAIN.weightGradient;
    const byEight = choice.kernel === "eight";
    const byHalf = halves(geometry, small.device);
    const rows = batch * outSize[0] * (byEight ? Math.ceil(outSize[1] / 2) : outSize[1]);
    const tiles = byHalf
      ? 8 * Math.ceil(inputs / 4) * Math.ceil(outputs / 16)
      : byEight
        ? 24 * Math.ceil(inputs / 4) * Math.ceil(outputs / 8)
        : K * K * Math.ceil(inputs / 2) * Math.ceil(outputs / 8);
    const voxels = small.size / outputs;
    const splits = Math.min(rows, Math.ceil(INVOCATIONS / tiles), Math.ceil(voxels / SHARE));
    const partial = splits === 1 ? dweight : new Tensor(small.device, [splits, ...dweight.shape]);
    const unused = { biased: 0, outputStride: 0, inputStride: 0, reversed: 0 };
    const operands = { x: large, dy: small, partial, size, inputs, outputs, batch, splits, ...unused };
    const grid = { invocations: splits * tiles, work: workOf(small, dweight) };
    if (byHalf) halving.pair({ ...extents(large, small), large, small, partial, biased: 0, splits }, grid);
    else if (choice.kernel === "eight") eight.backwardWeight(operands, grid);
    else conv.backwardWeight({ ...operands, ...overrides(geometry), WG: choice.WG, outSize }, grid);
    if (splits > 1) conv.sumSplits({ partial, dweight }, dweight.size);
    return dweight;
  });
}

const INVOCATIONS = 16384; // enough to fill a large GPU
const SHARE = 256; // the fewest voxels that are worth a share of their own

function tileWidth(width: number): number {
  return width > 4 ? 8 : 4;
}

function overrides({ kernel, stride, padding }: Geometry): { K: number; S: number; P: number } {
  return { K: kernel, S: stride, P: padding };
}
