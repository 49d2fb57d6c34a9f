import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("normaliseChannels");
const { TILE } = kernel.constants; // voxels of a workgroup

/** x / max(‖x‖, eps) over the channels of each voxel, as PyTorch's normalize: [N,C,D,H,W] → that shape. */
export function normaliseChannels(x: Tensor, eps = 1e-12): Tensor {
  const { batch, channels, voxels } = extent("normaliseChannels", x);
  const config = { channels, voxels, eps };
  const grid = { groups: [Math.ceil(voxels / TILE), batch, 1], work: 6 * x.size } as const;
  const y = new Tensor(x.device, x.shape, x.precision);
  kernel.forward({ ...config, x, y }, grid);
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape, x.precision);
    kernel.backward({ ...config, x, dy, dx }, grid);
    return dx;
  };
  return record(y, [[x, backward]], [x]);
}
