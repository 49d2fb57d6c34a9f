import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("diceLoss");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/**
 * The mean over all classes, background included, of 1 - (2 Σ p g + smooth) / (Σ p² + Σ g² + smooth), with p
 * = softmax(logits) and g the label as one-hot; the sums run over the voxels of the whole batch. logits
 * [N,C,D,H,W], label [N,D,H,W] of whole numbers in 0 … C-1. Milletari et al., "V-Net", 3DV 2016.
 */
export function diceLoss(logits: Tensor, label: Tensor, smooth = 1e-5): Tensor {
  const { batch, channels: classes, voxels } = extent("diceLoss", logits, label);
  const chunks = Math.ceil(voxels / CHUNK);
  const { device } = logits;
  const quads = Math.ceil(classes / 4);
  const config = { classes, voxels, smoothing: smooth };
  const sums = new Tensor(device, [quads, batch * chunks, 2, 4]);
  const y = new Tensor(device, []);
  const ratios = new Tensor(device, [quads, 2, 4]);
  const work = 30 * logits.size * quads;
  kernel.partial({ ...config, logits, label, sums }, { groups: [chunks, batch, quads], work });
  kernel.combine({ ...config, sums, ratios }, { groups: [quads, 1, 1], work: sums.size });
  kernel.mean({ ...config, ratios, y }, 1);
  free(sums);
  const backward = (dy: Tensor) => {
    const dlogits = new Tensor(device, logits.shape);
    const grid = { invocations: label.size, work: 40 * logits.size };
    kernel.backward({ ...config, logits, label, ratios, dy, dlogits }, grid);
    return dlogits;
  };
  return record(y, [[logits, backward]], [logits, label, ratios]);
}
