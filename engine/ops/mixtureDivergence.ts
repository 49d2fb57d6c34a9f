import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";
import { checkTargets } from "./klDivergence.ts";

const kernel = await shader("mixtureDivergence");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/**
 * The mean over all N·C·V elements of q (log q - log p), with p = softmax(logits / temperature) over classes
 * and q the given probabilities, which sum to 1 over the classes of [N,C,D,H,W]. Differentiated by both:
 * unlike klDivergence(), whose q comes from logits and is a constant. Its gradient by q is that within the
 * probabilities. Throws where the shapes differ.
 */
export function mixtureDivergence(logits: Tensor, q: Tensor, temperature: number): Tensor {
  const { batch, channels: classes, voxels } = extent("mixtureDivergence", logits);
  checkTargets("mixtureDivergence", logits, q, temperature);
  const chunks = Math.ceil(voxels / CHUNK);
  const { device } = logits;
  const config = { logits, q, classes, voxels, temperature };
  const sums = new Tensor(device, [batch, chunks]);
  const y = new Tensor(device, []);
  kernel.partial({ ...config, sums }, { groups: [chunks, batch, 1], work: 50 * logits.size });
  kernel.combine({ logits, sums, y }, { groups: [1, 1, 1], work: sums.size });
  free(sums);
  const grid = { invocations: batch * voxels, work: 40 * logits.size };
  const backwardLogits = (dy: Tensor) => {
    const dlogits = new Tensor(device, logits.shape);
    kernel.backwardLogits({ ...config, dy, dlogits }, grid);
    return dlogits;
  };
  const backwardTargets = (dy: Tensor) => {
    const dq = new Tensor(device, q.shape);
    kernel.backwardTargets({ ...config, dy, dq }, grid);
    return dq;
  };
  const inputs = [
    [logits, backwardLogits],
    [q, backwardTargets],
  ] as const;
  return record(y, inputs, [logits, q]);
}
