// The kernels of 2³ at stride 2, which halves a volume, or doubles it: a table for each of the three sums.
// One choice holds for all three.

import type { Tensor } from "../autograd/tensor.ts";
import { shader } from "../gpu/shader.ts";
import { split } from "./geometry.ts";
import { plainGather, plainPair, plainScatter } from "./plain.ts";
import { type Row, shared, type VolumeCall, type VolumeRow, type WeightRow } from "./row.ts";
import { onEightLanes } from "./same.ts";
import { onGpus } from "./tile.ts";

const halving = await shader("conv3dHalving");
const product = await shader("conv3dProduct");
const { LANES, R, TC } = halving.constants;
const { BM, BN, BK, NT } = product.constants;
const GROUPS = 1024; // workgroups of a weight's gradient, enough to fill a large GPU

export const HALVING_GATHER: readonly VolumeRow[] = [
  {
    name: "halving",
    sizes: onEightLanes,
    fits: () => true,
    grid: ({ operands: { batch, outputs }, outSize: [D, H, W], work }) => {
      const tiles = Math.ceil((D * H) / R) * Math.ceil(W / 4);
      return { invocations: LANES * batch * Math.ceil(outputs / (2 * LANES)) * tiles, work };
    },
    run: ({ operands: { x, y, weight, bias, biased } }, grid) => {
      halving.gather({ ...extents(x, y), large: x, weight, bias, biased, y, splits: 0 }, grid);
    },
  },
  inDefaultSizes(plainGather),
  {
    name: "product",
    sizes: onGpus,
    fits: () => true,
    grid: ({ operands: { batch, outputs }, outSize: [D, H, W], work }) => {
      return { invocations: NT * batch * tiles(outputs, D * H * W), work };
    },
    run: ({ operands: { x, y, weight, bias, biased } }, grid) => {
      product.gather({ ...extents(x, y), large: x, weight, bias, biased, y, splits: 0 }, grid);
    },
  },
];

export const HALVING_SCATTER: readonly VolumeRow[] = [
  {
    name: "halving",
    sizes: onEightLanes,
    fits: isDoubled,
    grid: ({ operands: { batch, outputs, size }, work }) => {
      const [D, H, W] = size;
      return { invocations: LANES * batch * Math.ceil(outputs / LANES) * D * H * Math.ceil(W / 8), work };
    },
    run: ({ operands: { x, y, weight, bias, biased } }, grid) => {
      halving.scatter({ ...extents(y, x), small: x, weight, bias, biased, y, splits: 0 }, grid);
    },
  },
  // before the plain kernel, which takes the calls that this one does not fit
  {
    name: "product",
    sizes: onGpus,
    fits: isDoubled,
    grid: ({ operands: { batch, outputs, size }, work }) => {
      const [D, H, W] = size;
      return { invocations: NT * batch * tiles(8 * outputs, D * H * W), work };
    },
    run: ({ operands: { x, y, weight, bias, biased } }, grid) => {
      product.scatter({ ...extents(y, x), small: x, weight, bias, biased, y, splits: 0 }, grid);
    },
  },
  inDefaultSizes(plainScatter),
];

export const HALVING_PAIR: readonly WeightRow[] = [
  {
    name: "halving",
    sizes: onEightLanes,
    fits: () => true,
    grid: (call) => {
      const { operands, outSize } = call;
      const tiles = LANES * Math.ceil(operands.inputs / TC) * Math.ceil(operands.outputs / (2 * LANES));
      return shared(call, { rows: operands.batch * outSize[0] * outSize[1], tiles });
    },
    run: ({ operands: { x, dy }, partial }, grid) => {
      const { splits } = grid;
      halving.pair({ ...extents(x, dy), large: x, small: dy, partial, biased: 0, splits }, grid);
    },
  },
  inDefaultSizes(plainPair),
  {
    name: "product",
    sizes: onGpus,
    fits: () => true,
    grid: ({ operands: { batch, inputs, outputs }, outSize: [D, H, W], work }) => {
      const own = tiles(outputs, 8 * inputs);
      const splits = Math.min(Math.ceil((batch * D * H * W) / (4 * BK)), Math.ceil(GROUPS / own));
      return { splits, invocations: NT * own * splits, work };
    },
    run: ({ operands: { x, dy }, partial }, grid) => {
      const { splits } = grid;
      product.pair({ ...extents(x, dy), large: x, small: dy, partial, biased: 0, splits }, grid);
    },
  },
];

/** The tiles of a matrix. */
function tiles(rows: number, columns: number): number {
  return Math.ceil(rows / BM) * Math.ceil(columns / BN);
}

/** True if the result of scatter has twice the edges of its operand: no voxel more that no tap meets. */
function isDoubled({ operands: { size }, outSize }: VolumeCall): boolean {
  return outSize.every((edge, axis) => edge === 2 * size[axis]!);
}

/** The row with its default sizes as its only ones. */
function inDefaultSizes<R extends Pick<Row<never>, "sizes">>(row: R): R {
  return { ...row, sizes: () => [{}] };
}

/** The sizes of both grids, named as in conv3dHalving.wgsl. */
function extents(large: Tensor, small: Tensor) {
  const { batch, channels: largeChannels, size: largeSize } = split(large);
  const { channels: smallChannels, size: smallSize } = split(small);
  return { batch, largeChannels, largeSize, smallChannels, smallSize };
}
