// A kernel is one row of its family's table (families.ts): what a row holds, and the calls it is for.

import type { Tensor } from "../autograd/tensor.ts";
import type { Grid, Vec3 } from "../gpu/grid.ts";
import type { Lanes } from "../gpu/lanes.ts";
import type { Geometry } from "./geometry.ts";

/** Everything about a GPU that decides which kernels can run there. A Device has it. */
export interface Abilities {
  lanes: Lanes;
  gpu: Pick<GPUDevice, "features" | "limits">;
}

/** Tells whether all subgroups have eight lanes, as on software adapters. */
export function hasEightLanes({ lanes }: Abilities): boolean {
  return lanes.min === 8 && lanes.max === 8;
}

/** The sizes of a kernel's workgroups and tiles, by the names of its overrides. */
export type Sizes = Readonly<Record<string, number>>;

/** A kernel by its name, with its sizes. Plain JSON. */
export interface Choice {
  readonly kernel: string;
  readonly [size: string]: string | number;
}

/** One kernel. `C` is the call that it serves, `G` its grid, `R` the call with all tensors allocated. */
export interface Row<C, G extends Grid = Grid, R extends C = C> {
  /** Its name in device.tuning and config.json. A kernel that comes to round differently needs a new name. */
  name: string;
  /** Returns the sizes to choose from on a GPU, the default first; none where the kernel cannot run. */
  sizes: (gpu: Abilities) => readonly Sizes[];
  /** Returns true if the kernel can do this call: its shape, its precision. */
  fits: (call: C) => boolean;
  /** Returns the invocations or workgroups of the call; without sizes, of the default ones. */
  grid: (call: C, sizes: Sizes) => G;
  /**
   * Dispatches the kernel. Returns the moments of the output if the call asks for them and the kernel has
   * them.
   */
  run: (call: R, grid: G, sizes: Sizes) => Tensor | void;
}

/** Computes a volume y [N,O,...outSize] from a volume x [N,C,...size]. */
export interface VolumeCall {
  /** Named as in the shaders. */
  operands: {
    x: Tensor;
    y: Tensor;
    weight: Tensor;
    /** Any tensor where `biased` is 0. */
    bias: Tensor;
    biased: 0 | 1;
    size: Vec3;
    inputs: number;
    outputs: number;
    batch: number;
  };
  /**
   * How the weight is read: elements from one channel of y, and of x, to the next; 1 if the taps are in
   * reverse.
   */
  strides: { outputStride: number; inputStride: number; reversed: 0 | 1 };
  outSize: Vec3;
  geometry: Geometry;
  /** True if the caller wants the moments of y. */
  moments: boolean;
  /** Multiplications and additions. */
  work: number;
}

/** Computes the gradient of a weight [O,C,K,K,K] from x [N,C,...size] and dy [N,O,...outSize]. */
export interface WeightCall {
  /** Named as in the shaders. */
  operands: { x: Tensor; dy: Tensor; size: Vec3; inputs: number; outputs: number; batch: number };
  outSize: Vec3;
  geometry: Geometry;
  work: number;
}

/** A grid whose invocations sum each of `splits` shares of the voxels on their own. */
export type Shares = Exclude<Grid, number> & { splits: number };

export type VolumeRow = Row<VolumeCall>;
/** `partial` [splits,O,C,K,K,K] takes the sums of the shares. */
export type WeightRow = Row<WeightCall, Shares, WeightCall & { partial: Tensor }>;

const INVOCATIONS = 16384; // enough to fill a large GPU
const SHARE = 256; // the fewest voxels that are worth a share of their own

/**
 * Divides `rows` of the volume among shares that take `tiles` invocations each, some `invocations` in all.
 * The number of shares depends on shapes alone, so that sums repeat.
 */
export function shared(
  { operands, outSize, work }: WeightCall,
  { rows, tiles, invocations = INVOCATIONS }: { rows: number; tiles: number; invocations?: number },
): Shares {
  const voxels = operands.batch * outSize[0] * outSize[1] * outSize[2];
  const splits = Math.min(rows, Math.ceil(invocations / tiles), Math.ceil(voxels / SHARE));
  return { splits, invocations: splits * tiles, work };
}
