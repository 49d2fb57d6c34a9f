import { extent } from "./common/labels.ts";
import { checkTargets } from "./klDivergence.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("maskedSoftCrossEntropy");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/**
 * The cross-entropy -Σ_c q log max(p, clip) of p = softmax(logits / T) and q = softmax(targets / T), the mean
 * over voxels with constant weights: where the largest of the targets is the label's, by how much the
 * logits' own cross-entropy with the label exceeds the targets', if it does; else 0. logits and targets
 * [N,C,D,H,W], label [N,D,H,W] of whole numbers in 0 … C-1 → a scalar, differentiated by the logits alone;
 * exactly 0, with gradient 0, where all weights are. Throws where the shapes differ. Chen et al., "Learning
 * with privileged multimodal knowledge for unimodal segmentation", IEEE TMI 2021.
 */
export function maskedSoftCrossEntropy(
  logits: Tensor,
  targets: Tensor,
  label: Tensor,
  { temperature = 10, clip = 0.005 } = {},
): Tensor {
  const { batch, channels: classes, voxels } = extent("maskedSoftCrossEntropy", logits, label);
  checkTargets("maskedSoftCrossEntropy", logits, targets, temperature);
  if (!(clip >= 0 && clip <= 1)) {
    throw new Error(`maskedSoftCrossEntropy: expected a clip from 0 to 1, got ${clip}`);
  }
  const { device } = logits;
  const chunks = Math.ceil(voxels / CHUNK);
  const config = { logits, targets, label, classes, voxels, cooling: 1 / temperature, clip };
  const sums = new Tensor(device, [batch, chunks, 2]);
  const y = new Tensor(device, []);
  const scale = new Tensor(device, []);
  kernel.partial({ ...config, sums }, { groups: [chunks, batch, 1], work: 60 * logits.size });
  kernel.combine({ sums, y, scale }, { groups: [1, 1, 1], work: sums.size });
  free(sums);
  const backward = (dy: Tensor) => {
    const dlogits = new Tensor(device, logits.shape);
    const grid = { invocations: label.size, work: 70 * logits.size };
    kernel.backward({ ...config, scale, dy, dlogits }, grid);
    return dlogits;
  };
  record(y, [[logits, backward]], [logits, targets, label, scale]);
  free(scale);
  return y;
}
