import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";
import { statisticsOf } from "./instanceNorm.ts";

const kernel = await shader("channelStatistics");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/** The mean and √(variance + eps) of each channel of each sample: [N,C,D,H,W] → [N,C,2]. */
export function channelStatistics(x: Tensor, eps = 1e-5): Tensor {
  const { batch, channels, voxels } = extent("channelStatistics", x);
  const chunks = Math.ceil(voxels / CHUNK);
  const statistics = statisticsOf(x, 1, eps);
  const y = new Tensor(x.device, [batch, channels, 2]);
  kernel.forward({ statistics, y }, batch * channels);
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape, x.precision);
    const grid = { groups: [chunks, batch * channels, 1], work: 4 * x.size } as const;
    kernel.backward({ x, statistics, dy, dx, voxels }, grid);
    return dx;
  };
  record(y, [[x, backward]], [x, statistics]);
  free(statistics);
  return y;
}
