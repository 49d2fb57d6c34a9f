// The kernels that compute every geometry on every GPU: in all tables. The others are checked
// against them.

import { shader } from "../gpu/shader.ts";
import type { Geometry } from "./geometry.ts";
import { shared, type VolumeRow, type WeightRow } from "./row.ts";

const conv = await shader("conv3d");
const transpose = await shader("convTranspose3d");
const { WG: WIDTH, TW: TILE, TO, TC } = conv.constants;

const WIDTHS = [WIDTH, 32, 128, 256]; // of workgroups
const NARROW = 4; // voxels along W of a tile of a narrow volume

/** conv3d.wgsl, forward. */
export const plainGather: VolumeRow = {
  name: "plain",
  sizes: () => WIDTHS.flatMap((WG) => [TILE, NARROW].map((TW) => ({ WG, TW }))),
  fits: () => true,
  grid: ({ operands: { batch, outputs }, outSize: [D, H, W], work }, { TW = TILE }) => {
    const tiles = D * H * Math.ceil(W / tileWidth(W, TW));
    return { invocations: batch * Math.ceil(outputs / TO) * tiles, work };
  },
  run: ({ operands, strides, outSize, geometry }, grid, { WG = WIDTH, TW = TILE }) => {
    const tile = { WG, TW: tileWidth(outSize[2], TW) };
    conv.forward({ ...operands, ...strides, ...overrides(geometry), ...tile, outSize, splits: 1 }, grid);
  },
};

/** convTranspose3d.wgsl. */
export const plainScatter: VolumeRow = {
  name: "plain",
  sizes: () => [{}],
  fits: () => true,
  grid: ({ operands: { batch, outputs }, outSize: [D, H, W], geometry: { stride }, work }) => {
    const tiles = Math.ceil(W / (stride * scatterWidth(W, stride))) * stride;
    return { invocations: batch * Math.ceil(outputs / transpose.constants.TO) * D * H * tiles, work };
  },
  run: ({ operands, outSize, geometry }, grid) => {
    const TW = scatterWidth(outSize[2], geometry.stride);
    transpose.forward({ ...operands, ...overrides(geometry), TW, outSize }, grid);
  },
};

/** conv3d.wgsl, backwardWeight. */
export const plainPair: WeightRow = {
  name: "plain",
  sizes: () => WIDTHS.map((WG) => ({ WG })),
  fits: () => true,
  grid: (call) => {
    const { operands, outSize, geometry } = call;
    const channels = Math.ceil(operands.inputs / TC) * Math.ceil(operands.outputs / TO);
    return shared(call, {
      rows: operands.batch * outSize[0] * outSize[1],
      tiles: geometry.kernel ** 2 * channels,
    });
  },
  run: ({ operands, partial, outSize, geometry }, grid, { WG = WIDTH }) => {
    const own = { ...FORWARD_ONLY, ...overrides(geometry), WG };
    conv.backwardWeight({ ...operands, ...own, partial, outSize, splits: grid.splits }, grid);
  },
};

/** Members of the uniforms that backwardWeight does not read. */
export const FORWARD_ONLY = { biased: 0, outputStride: 0, inputStride: 0, reversed: 0 };

function overrides({ kernel, stride, padding }: Geometry): { K: number; S: number; P: number } {
  return { K: kernel, S: stride, P: padding };
}

/** The voxels along W of a tile: as many as chosen, but fewer in a narrow volume. */
function tileWidth(width: number, chosen: number): number {
  return width > NARROW ? chosen : NARROW;
}

/** The voxels along W of a tile of convTranspose3d, which lie a stride apart. */
function scatterWidth(width: number, stride: number): number {
  return tileWidth(Math.ceil(width / stride), transpose.constants.TW);
}
