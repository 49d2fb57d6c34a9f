import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("maxPool3d");

/**
 * The largest value of each window of 2³ voxels: [N,C,D,H,W] → [N,C,D/2,H/2,W/2], without the last plane of
 * an odd size. The first of equal values gets the gradient. As PyTorch's max_pool3d with kernel 2.
 */
export function maxPool3d(x: Tensor): Tensor {
  const [batch, channels, ...size] = x.shape as [number, number, number, number, number];
  if (x.shape.length !== 5 || size.some((s) => s < 2)) {
    throw new Error(`maxPool3d: expected [N,C,D,H,W] of at least 2 voxels each way, got [${x.shape}]`);
  }
  const [depth, height] = size;
  const y = new Tensor(x.device, [batch, channels, ...size.map((s) => s >> 1)], x.precision);
  kernel.forward({ x, y, size }, { groups: [height >> 1, depth >> 1, batch * channels], work: 4 * x.size });
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape, x.precision);
    const groups = [(height + 1) >> 1, (depth + 1) >> 1, batch * channels] as const;
    kernel.backward({ x, dy, dx, size }, { groups, work: 8 * dx.size });
    return dx;
  };
  return record(y, [[x, backward]], [x]);
}
