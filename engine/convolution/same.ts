// The kernels of 3³ at stride 1. The data gradient is the forward pass again, with the channels of the weight
// exchanged and its taps in reverse.

import { free, Tensor } from "../autograd/tensor.ts";
import type { Vec3 } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import { FORWARD_ONLY, plainGather, plainPair } from "./plain.ts";
import { RING, TILE } from "./tile.ts";
import { type Abilities, hasEightLanes, shared, type Sizes, type VolumeRow, type WeightRow } from "./row.ts";

const eight = await shader("conv3dEight");
const narrow = await shader("conv3dNarrow");
const rotate = await shader("conv3dRotate");
const subgroups = await shader("conv3dSubgroups");
const { LANES, T, TC } = eight.constants;
const { WG: WIDTH, TO, TW, TH } = subgroups.constants;

const CPU_INVOCATIONS = 2048; // enough to fill the cores behind a software adapter

/** Forward pass and data gradient. */
export const FORWARD: readonly VolumeRow[] = [
  {
    name: "narrow",
    sizes: onEightLanes,
    fits: ({ outSize: [, H, W] }) => H <= narrow.constants.EDGE && W <= narrow.constants.EDGE,
    grid: ({ operands: { batch, outputs, size }, work }) => {
      const tiles = Math.ceil(size[0] / narrow.constants.PLANES);
      return { invocations: LANES * batch * Math.ceil(outputs / LANES) * tiles, work };
    },
    run: ({ operands, strides }, grid) => narrow.forward({ ...operands, ...strides }, grid),
  },
  {
    name: "eight",
    sizes: onEightLanes,
    fits: () => true,
    grid: ({ operands: { batch, outputs, size }, work }) => {
      return { invocations: LANES * batch * Math.ceil(outputs / LANES) * planeTiles(size), work };
    },
    run: ({ operands, strides, moments }, grid) => {
      const { x, batch, outputs, size } = operands;
      const unwritten = [4]; // the kernel binds a tensor even without moments
      const shape = moments ? [batch, outputs, planeTiles(size), 4] : unwritten;
      const momentsOfTiles = new Tensor(x.device, shape);
      eight.forward({ ...operands, ...strides, momentsOfTiles, moments, splits: 0 }, grid);
      if (moments) return momentsOfTiles;
      free(momentsOfTiles);
    },
  },
  {
    name: "subgroups",
    sizes: ({ lanes }) => {
      if (lanes.min < 8) return [];
      return [...new Set([Math.min(lanes.max, 64), 32, 64, 128])].map((WG) => ({ WG }));
    },
    fits: ({ operands }) => operands.size[2] > 2,
    grid: ({ operands: { batch, outputs, size }, work }, { WG = WIDTH }) => {
      return { invocations: batch * Math.ceil(outputs / TO) * rowTiles(size, WG), work };
    },
    run: ({ operands, strides }, grid, { WG = WIDTH }) => {
      subgroups.forward({ ...operands, ...strides, WG, tiles: rowTiles(operands.size, WG) }, grid);
    },
  },
  plainGather,
  TILE, // after the default of GPUs without subgroups: it has to be measured to be chosen
];

export const WEIGHT_GRADIENT: readonly WeightRow[] = [
  {
    name: "rotate",
    sizes: onEightLanes,
    fits: ({ outSize: [, , W] }) => W % 4 === 0,
    grid: (call) => {
      const { batch, inputs, outputs } = call.operands;
      const [D, , W] = call.outSize;
      const columns = batch * (W === 4 ? Math.ceil(D / 2) : D * Math.ceil(W / rotate.constants.COLUMN));
      const tiles = 3 * LANES * Math.ceil(inputs / LANES) * Math.ceil(outputs / LANES); // 3: one kz each
      return shared(call, { rows: columns, tiles, invocations: CPU_INVOCATIONS });
    },
    run: ({ operands, outSize, partial }, grid) => {
      rotate.backwardWeight({ ...operands, four: outSize[2] === 4, partial, splits: grid.splits }, grid);
    },
  },
  {
    name: "eight",
    sizes: onEightLanes,
    fits: () => true,
    grid: (call) => {
      const { batch, inputs, outputs } = call.operands;
      const [D, H] = call.outSize;
      const tiles = 3 * LANES * Math.ceil(inputs / TC) * Math.ceil(outputs / LANES); // 3: one kz each
      return shared(call, { rows: batch * D * Math.ceil(H / 2), tiles });
    },
    run: ({ operands, partial }, grid) => {
      eight.backwardWeight({ ...operands, ...FORWARD_ONLY, partial, splits: grid.splits }, grid);
    },
  },
  plainPair,
  RING,
];

/** For kernels of subgroups of exactly eight lanes; in wider ones lanes would idle. */
export function onEightLanes(gpu: Abilities): readonly Sizes[] {
  return hasEightLanes(gpu) ? [{}] : [];
}

/** Tiles of 8x8 voxels of the planes. */
function planeTiles([D, H, W]: Vec3): number {
  return D * Math.ceil(H / T) * Math.ceil(W / T);
}

/** Tiles of two rows of 8 voxels, rounded up to whole workgroups. */
function rowTiles([D, H, W]: Vec3, WG: number): number {
  return Math.ceil((D * Math.ceil(H / TH) * Math.ceil(W / TW)) / WG) * WG;
}
