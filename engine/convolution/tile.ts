// The kernels of 3³ at stride 1 that compute out of workgroup memory, for GPUs. Their tiles follow from the
// shape alone, and run under WebGPU's least limits, so that sums repeat.

import { free, Tensor } from "../autograd/tensor.ts";
import type { Vec3 } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import {
  type Abilities,
  hasEightLanes,
  type Sizes,
  type VolumeCall,
  type VolumeRow,
  type WeightRow,
} from "./row.ts";

const { forward, sumShares } = await shader("conv3dTile");
const ring = await shader("conv3dRing");

/** A tile of conv3dTile.wgsl, by the names of its overrides. */
interface Tile {
  TX: number;
  TY: number;
  TZ: number;
  BO: number;
  PITCH: number;
}

/** From wide volumes to narrow ones, and among equals from few channels to many. */
const TILES: readonly Tile[] = [
  { TX: 32, TY: 8, TZ: 4, BO: 16, PITCH: 9 },
  { TX: 32, TY: 4, TZ: 2, BO: 32, PITCH: 9 },
  { TX: 16, TY: 8, TZ: 4, BO: 16, PITCH: 6 },
  { TX: 16, TY: 8, TZ: 2, BO: 32, PITCH: 6 },
  { TX: 16, TY: 4, TZ: 2, BO: 64, PITCH: 6 },
  { TX: 8, TY: 8, TZ: 2, BO: 32, PITCH: 5 },
  { TX: 8, TY: 8, TZ: 2, BO: 64, PITCH: 5 },
  { TX: 4, TY: 4, TZ: 4, BO: 64, PITCH: 3 },
];

const INVOCATIONS = 65536; // enough to fill a large GPU
const SHARE = 4; // the fewest input channels that are worth a share of their own

/** Forward pass and data gradient. */
export const TILE: VolumeRow = {
  name: "tile",
  sizes: onGpus,
  fits: () => true,
  grid: ({ operands, work }) => {
    const { splits, invocations } = tiling(operands);
    return { invocations: splits * invocations, work };
  },
  run: ({ operands, strides, moments: wanted }, grid) => {
    const { y, batch, outputs } = operands;
    const { tile, threads, tiles, splits } = tiling(operands);
    const moments = wanted && splits === 1;
    const unwritten = [4]; // the kernel binds tensors even without shares or moments
    const shares = new Tensor(y.device, splits > 1 ? [splits, ...y.shape] : unwritten);
    const momentsOfTiles = new Tensor(y.device, moments ? [batch, outputs, tiles, 4] : unwritten);
    const own = { ...operands, ...strides, shares, splits };
    forward({ ...own, ...tile, NT: threads, momentsOfTiles, moments }, grid);
    if (splits > 1) sumShares(own, y.size);
    free(shares);
    if (moments) return momentsOfTiles;
    free(momentsOfTiles);
  },
};

const GROUPS = 1200; // workgroups of the weight gradient, enough to fill a large GPU
const INPUTS = ring.constants.INPUTS;

/** Weight gradient. */
export const RING: WeightRow = {
  name: "ring",
  sizes: (gpu) => {
    const large = gpu.gpu.limits.maxComputeWorkgroupStorageSize >= bytesOf(columnFor(16, 8));
    return onGpus(gpu).flatMap(() => (large ? [{ TY: 8 }, { TY: 4 }] : [{ TY: 4 }]));
  },
  fits: () => true,
  grid: ({ operands: { batch, inputs, outputs }, outSize: [D, H, W], work }, { TY }) => {
    const { TX, BO, NT, ...column } = columnFor(W, TY);
    const planes = batch * D * Math.ceil(H / column.TY) * Math.ceil(W / TX);
    const tiles = Math.ceil(outputs / BO) * Math.ceil(inputs / INPUTS);
    const splits = Math.min(planes, Math.ceil(GROUPS / tiles));
    return { splits, invocations: NT * tiles * splits, work };
  },
  run: ({ operands, outSize, partial }, grid, { TY }) => {
    const { splits } = grid;
    ring.backwardWeight({ ...operands, ...columnFor(outSize[2], TY), partial, splits }, grid);
  },
};

/** The columns of conv3dRing.wgsl for rows of W voxels, by the names of its overrides. */
function columnFor(W: number, rows = 4) {
  const [TX, TY, BO] = W > 8 ? [16, rows, 16] : W > 4 ? [8, 8, 16] : [4, 4, 32];
  const PITCH = TX / 4 + 1;
  const NT = INPUTS * (TY / 2) * (BO / 8) * 3;
  return { TX, TY, BO, PITCH, PLANE: ((TY + 2) * PITCH) | 1, NT };
}

/** The workgroup memory that a column takes. */
function bytesOf({ TX, TY, BO, PLANE, NT }: ReturnType<typeof columnFor>): number {
  return 16 * Math.max(3 * INPUTS * PLANE, 3 * NT) + 4 * BO * TY * TX;
}

/** For kernels that pay where workgroup memory is memory of its own: not on software adapters. */
export function onGpus(gpu: Abilities): readonly Sizes[] {
  return hasEightLanes(gpu) ? [] : [{}];
}

/**
 * The tile for a volume, its threads, the tiles of a channel, the invocations of all tiles, and the shares
 * that fill a GPU.
 */
function tiling({ batch, inputs, outputs, size }: VolumeCall["operands"]) {
  const tile = tileFor(size, outputs);
  const { TX, TY, TZ, BO } = tile;
  const [D, H, W] = size;
  const threads = (BO / 8) * TZ * (TY / 2) * (TX / 4);
  const tiles = Math.ceil(D / TZ) * Math.ceil(H / TY) * Math.ceil(W / TX);
  const invocations = threads * batch * tiles * Math.ceil(outputs / BO);
  const splits = Math.max(1, Math.min(Math.ceil(INVOCATIONS / invocations), Math.floor(inputs / SHARE)));
  return { tile, threads, tiles, invocations, splits };
}

/** The widest tile that the volume fills by half, for as many channels as it has. */
function tileFor([, , W]: Vec3, outputs: number): Tile {
  const width = TILES.find(({ TX }) => TX <= 2 * W - 1)?.TX ?? TILES.at(-1)!.TX;
  const wide = TILES.filter(({ TX }) => TX === width);
  return wide.find(({ BO }) => BO >= outputs) ?? wide.at(-1)!;
}
