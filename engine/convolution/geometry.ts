// The shape of a convolution: its kernel, and the volumes on either side.

import type { Tensor } from "../autograd/tensor.ts";
import type { Vec3 } from "../gpu/grid.ts";

/** Kernel edge, stride and padding, the same along all axes. */
export interface Geometry {
  kernel: number;
  stride: number;
  padding: number;
}

/** 3³ at stride 1, which keeps a volume's size: most convolutions of a network. */
export const SAME: Geometry = { kernel: 3, stride: 1, padding: 1 };
/** 2³ at stride 2, which halves a volume, or doubles it when transposed. */
export const HALVING: Geometry = { kernel: 2, stride: 2, padding: 0 };

export function isSameGeometry(a: Geometry, b: Geometry): boolean {
  return a.kernel === b.kernel && a.stride === b.stride && a.padding === b.padding;
}

/** Splits a shape [N,C,D,H,W]. */
export function split({ shape }: Tensor): { batch: number; channels: number; size: Vec3 } {
  const [batch, channels, ...size] = shape as [number, number, number, number, number];
  return { batch, channels, size: size as unknown as Vec3 };
}
