import { shader } from "../gpu/shader.ts";
import { recordAll } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("binaryLosses");
const { CHUNK } = kernel.constants; // elements of a workgroup

/** The scalars of binaryLosses(). */
export type BinaryLosses = { crossEntropy: Tensor; dice: Tensor };

/**
 * The losses of independent yes-or-no predictions p = sigmoid(logits / temperature), one a channel, from
 * constant targets t in 0 … 1, both [N,C,...]: binary cross-entropy, the mean over all elements (times C it
 * is the sum over channels of the mean over the rest); and the mean over channels of 1 - (2 Σ p t + smooth) /
 * (Σ p² + Σ t² + smooth), with sums over samples and voxels. The squares make t itself the best p where t is
 * neither 0 nor 1.
 */
export function binaryLosses(
  logits: Tensor,
  targets: Tensor,
  { temperature = 1, smooth = 1e-5 } = {},
): BinaryLosses {
  if (logits.shape.length < 2 || `${logits.shape}` !== `${targets.shape}`) {
    throw new Error(
      `binaryLosses: expected tensors of one shape [N,C,...], got [${logits.shape}] and [${targets.shape}]`,
    );
  }
  if (!(temperature > 0)) {
    throw new Error(`binaryLosses: expected a positive temperature, got ${temperature}`);
  }
  const { device } = logits;
  const [batch, channels] = logits.shape as [number, number];
  const voxels = logits.size / batch / channels;
  const chunks = Math.ceil(voxels / CHUNK);
  const config = { logits, channels, voxels, smoothing: smooth, cooling: 1 / temperature };
  const sums = new Tensor(device, [channels, batch, chunks, 4]);
  const totals = new Tensor(device, [channels, 4]);
  const crossEntropy = new Tensor(device, []);
  const dice = new Tensor(device, []);
  const work = 40 * logits.size;
  kernel.partial({ ...config, targets, sums }, { groups: [chunks, channels, batch], work });
  kernel.combine({ ...config, sums, totals }, { groups: [channels, 1, 1], work: sums.size });
  kernel.mean({ ...config, totals, crossEntropy, dice }, 1);
  free(sums);
  const backward = ([dCrossEntropy, dDice]: readonly Tensor[]) => {
    const dlogits = new Tensor(device, logits.shape);
    const slopes = { dCrossEntropy: dCrossEntropy!, dDice: dDice! };
    const grid = { invocations: dlogits.size, work };
    kernel.backward({ ...config, targets, totals, ...slopes, dlogits }, grid);
    return dlogits;
  };
  recordAll([crossEntropy, dice], [[logits, backward]], [logits, targets, totals]);
  free(totals);
  return { crossEntropy, dice };
}
