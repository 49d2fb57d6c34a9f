import { shader } from "../shader.ts";
import { record } from "../tape.ts";
import { Tensor } from "../tensor.ts";

const kernel = await shader("upsampleTrilinear");

/**
 * Twice the size by linear interpolation between the centres of voxels: [N,C,D,H,W] → [N,C,2D,2H,2W]. As PyTorch's
 * interpolate in mode trilinear without align_corners.
 */
export function upsampleTrilinear(x: Tensor): Tensor {
  const [batch, channels, ...size] = x.shape as [number, number, number, number, number];
  if (x.shape.length !== 5) throw new Error(`upsampleTrilinear: expected [N,C,D,H,W], got [${x.shape}]`);
  const y = new Tensor(x.device, [batch, channels, ...size.map((s) => 2 * s)]);
  kernel.forward({ x, y, size }, { invocations: y.size, work: 30 * y.size });
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape);
    kernel.backward({ dy, dx, size }, { invocations: dx.size, work: 30 * dy.size });
    return dx;
  };
  return record(y, [[x, backward]]);
}
