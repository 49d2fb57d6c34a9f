import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("crossEntropy");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/**
 * The cross-entropy of logits [N,C,D,H,W] and a label [N,D,H,W] of whole numbers in 0 … C-1, each voxel
 * weighted by its class's weight [C]: Σ w (-log p) / Σ w, as in PyTorch, but 0 with gradient 0 where every
 * voxel's weight is 0.
 */
export function crossEntropy(logits: Tensor, label: Tensor, weight: Tensor): Tensor {
  const { batch, channels: classes, voxels } = extent("crossEntropy", logits, label);
  const chunks = Math.ceil(voxels / CHUNK);
  if (`${weight.shape}` !== `${classes}`) {
    throw new Error(`crossEntropy: expected a weight for each of ${classes} classes, got [${weight.shape}]`);
  }
  const { device } = logits;
  const config = { logits, label, weight, classes, voxels };
  const sums = new Tensor(device, [batch, chunks, 2]);
  const y = new Tensor(device, []);
  const scale = new Tensor(device, []);
  kernel.partial({ ...config, sums }, { groups: [chunks, batch, 1], work: 20 * logits.size });
  kernel.combine({ sums, y, scale }, { groups: [1, 1, 1], work: sums.size });
  free(sums);
  const backward = (dy: Tensor) => {
    const dlogits = new Tensor(device, logits.shape);
    kernel.backward({ ...config, scale, dy, dlogits }, { invocations: label.size, work: 30 * logits.size });
    return dlogits;
  };
  return record(y, [[logits, backward]], [logits, label, weight, scale]);
}
