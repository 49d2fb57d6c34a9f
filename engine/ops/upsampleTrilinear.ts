import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("upsampleTrilinear");

/**
 * Twice the size by linear interpolation between the centres of voxels: [N,C,D,H,W] → [N,C,2D,2H,2W]. As
 * PyTorch's interpolate in mode trilinear without align_corners.
 */
export function upsampleTrilinear(x: Tensor): Tensor {
  const [batch, channels, ...size] = x.shape as [number, number, number, number, number];
  if (x.shape.length !== 5) throw new Error(`upsampleTrilinear: expected [N,C,D,H,W], got [${x.shape}]`);
  const y = new Tensor(x.device, [batch, channels, ...size.map((s) => 2 * s)], x.precision);
  const [depth, height] = size;
  const grid = { groups: [height, depth, batch * channels], work: 30 * y.size } as const;
  kernel.forward({ x, y, size }, grid);
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape, x.precision);
    kernel.backward({ dy, dx, size }, grid);
    return dx;
  };
  return record(y, [[x, backward]]);
}
