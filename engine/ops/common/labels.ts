import type { Tensor } from "../../autograd/tensor.ts";

/** The parts of a shape [N,C,D,H,W]. */
export interface Extent {
  batch: number;
  channels: number;
  voxels: number;
}

/** The extent of x [N,C,D,H,W]. Throws, in the name of `op`, where a label [N,D,H,W] does not fit it. */
export function extent(op: string, x: Tensor, label?: Tensor): Extent {
  const [batch = 0, channels = 0, ...size] = x.shape;
  if (size.length === 0) throw new Error(`${op}: expected [N,C,D,H,W], got [${x.shape}]`);
  if (label && `${label.shape}` !== `${[batch, ...size]}`) {
    throw new Error(
      `${op}: expected a label [${[batch, ...size]}] beside [${x.shape}], got [${label.shape}]`,
    );
  }
  return { batch, channels, voxels: x.size / batch / channels };
}
