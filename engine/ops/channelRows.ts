import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("channelRows");

/** The channels of each voxel as a row of a matrix: [N,C,D,H,W] → [N·D·H·W, C] in float32. */
export function channelRows(x: Tensor): Tensor {
  const { batch, channels, voxels } = extent("channelRows", x);
  const y = new Tensor(x.device, [batch * voxels, channels]);
  kernel.forward({ x, y, channels, voxels }, y.size);
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape, x.precision);
    kernel.backward({ dy, dx, channels, voxels }, x.size);
    return dx;
  };
  return record(y, [[x, backward]]);
}
