import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, scope, Tensor } from "../autograd/tensor.ts";
import { classCounts } from "./classCounts.ts";
import { classSums } from "./prototypes.ts";

const kernel = await shader("classMeans");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/**
 * The sum of x over a class's voxels in the whole batch, divided by their number + eps, so that an absent
 * class has mean 0. x [N,F,D,H,W], label [N,D,H,W] of whole numbers in 0 … classes-1 → [classes,F].
 * prototypes() does the same for each sample.
 */
export function classMeans(x: Tensor, label: Tensor, classes: number, eps = 1e-6): Tensor {
  const { batch, channels, voxels } = extent("classMeans", x, label);
  const chunks = Math.ceil(voxels / CHUNK);
  const { device } = x;
  const config = { batch, channels, classes, voxels, eps };
  const scale = new Tensor(device, [classes]);
  const y = new Tensor(device, [classes, channels]);
  scope(() => {
    const quads = Math.ceil(classes / 4);
    const sums = classSums(x, label, classes);
    const rows = { ...config, chunks: sums.shape[2]! };
    kernel.scales({ ...rows, counts: classCounts(label, classes), scale }, classes);
    kernel.combine({ ...rows, scale, sums, y }, { groups: [channels, quads, 1], work: sums.size });
  });
  const backward = (dy: Tensor) => {
    const dx = new Tensor(device, x.shape, x.precision);
    const grid = { groups: [chunks, batch * channels, 1], work: 8 * dx.size } as const;
    kernel.backward({ ...config, chunks, label, scale, dy, dx }, grid);
    return dx;
  };
  record(y, [[x, backward]], [label, scale]);
  free(scale);
  return y;
}
