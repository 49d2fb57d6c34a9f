import type { Tensor } from "../../autograd/tensor.ts";

/** Voxels that a workgroup of a loss sums into one partial: CHUNK of the shaders that take labels. */
export const CHUNK = 4096;

/** Batch, channels and voxels of x [N,C,D,H,W], with as many groups as its partial sums take. */
export interface Extent {
  batch: number;
  channels: number;
  voxels: number;
  chunks: number;
}

/** The extent of x [N,C,D,H,W], which `label` [N,D,H,W] must fit; throws for the op named `op` where it does not. */
export function extent(op: string, x: Tensor, label?: Tensor): Extent {
  const [batch = 0, channels = 0, ...size] = x.shape;
  if (size.length === 0) throw new Error(`${op}: expected [N,C,D,H,W], got [${x.shape}]`);
  if (label && `${label.shape}` !== `${[batch, ...size]}`) {
    throw new Error(
      `${op}: expected a label [${[batch, ...size]}] beside [${x.shape}], got [${label.shape}]`,
    );
  }
  const voxels = x.size / batch / channels;
  return { batch, channels, voxels, chunks: Math.ceil(voxels / CHUNK) };
}
