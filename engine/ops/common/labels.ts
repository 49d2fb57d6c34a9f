import type { Tensor } from "../../autograd/tensor.ts";

/** Kernels of which a workgroup sums so many voxels into one partial. */
interface Chunked {
  constants: { readonly CHUNK: number };
}

/** Batch, channels and voxels of x [N,C,D,H,W], and the number of chunks into which kernels cut the voxels. */
export interface Extent {
  batch: number;
  channels: number;
  voxels: number;
  chunks: number;
}

/** The extent of x [N,C,D,H,W] for an op's kernels. Throws, in the name of `op`, where `label` [N,D,H,W] does not fit. */
export function extent(op: string, { constants }: Chunked, x: Tensor, label?: Tensor): Extent {
  const [batch = 0, channels = 0, ...size] = x.shape;
  if (size.length === 0) throw new Error(`${op}: expected [N,C,D,H,W], got [${x.shape}]`);
  if (label && `${label.shape}` !== `${[batch, ...size]}`) {
    throw new Error(
      `${op}: expected a label [${[batch, ...size]}] beside [${x.shape}], got [${label.shape}]`,
    );
  }
  const voxels = x.size / batch / channels;
  return { batch, channels, voxels, chunks: Math.ceil(voxels / constants.CHUNK) };
}
