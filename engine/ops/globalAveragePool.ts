import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("globalAveragePool");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/** The mean of each channel of each sample over its voxels: [N,C,D,H,W] → [N,C]. */
export function globalAveragePool(x: Tensor): Tensor {
  const { batch, channels, voxels } = extent("globalAveragePool", x);
  const chunks = Math.ceil(voxels / CHUNK);
  const rows = batch * channels;
  const sums = new Tensor(x.device, [rows, chunks]);
  const y = new Tensor(x.device, [batch, channels]);
  const grid = { groups: [chunks, rows, 1], work: 4 * x.size } as const;
  kernel.partialSums({ x, sums, voxels }, grid);
  kernel.combine({ sums, y, voxels }, { groups: [1, rows, 1], work: sums.size });
  free(sums);
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape, x.precision);
    kernel.backward({ dy, dx, voxels }, grid);
    return dx;
  };
  return record(y, [[x, backward]]);
}
