import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("klDivergence");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/**
 * The mean over all N·C·V elements of q (log q - log p), with p = softmax(logits / T) and q = softmax(targets
 * / T) over the classes of [N,C,D,H,W]. Differentiated by the logits alone. Throws where the shapes differ.
 */
export function klDivergence(logits: Tensor, targets: Tensor, temperature = 10): Tensor {
  const { batch, channels: classes, voxels } = extent("klDivergence", logits);
  const chunks = Math.ceil(voxels / CHUNK);
  checkTargets("klDivergence", logits, targets, temperature);
  const { device } = logits;
  const config = { logits, targets, classes, voxels, temperature };
  const sums = new Tensor(device, [batch, chunks]);
  const y = new Tensor(device, []);
  kernel.partial({ ...config, sums }, { groups: [chunks, batch, 1], work: 50 * logits.size });
  kernel.combine({ logits, sums, y }, { groups: [1, 1, 1], work: sums.size });
  free(sums);
  const backward = (dy: Tensor) => {
    const dlogits = new Tensor(device, logits.shape);
    const grid = { invocations: batch * voxels, work: 40 * logits.size };
    kernel.backward({ ...config, dy, dlogits }, grid);
    return dlogits;
  };
  return record(y, [[logits, backward]], [logits, targets]);
}

/** Throws, in the name of `op`, unless logits and targets have one shape and the temperature is positive. */
export function checkTargets(op: string, logits: Tensor, targets: Tensor, temperature: number): void {
  if (`${logits.shape}` !== `${targets.shape}`) {
    throw new Error(`${op}: expected logits of one shape, got [${logits.shape}] and [${targets.shape}]`);
  }
  if (!(temperature > 0)) throw new Error(`${op}: expected a positive temperature, got ${temperature}`);
}
