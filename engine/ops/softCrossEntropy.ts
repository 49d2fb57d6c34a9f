import { spread } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";
import { matrix } from "./softTargets.ts";

const kernel = await shader("softTargets");

/**
 * The mean over rows of -Σ_k q log softmax(logits / temperature): logits [N,K] and q [N,K], probabilities
 * that count as constants → a scalar, differentiated by the logits alone. Throws where the shapes differ.
 */
export function softCrossEntropy(logits: Tensor, q: Tensor, temperature: number): Tensor {
  const [rows, width] = matrix("softCrossEntropy", logits);
  if (`${q.shape}` !== `${logits.shape}`)
    throw new Error(`softCrossEntropy: expected q [${logits.shape}], got [${q.shape}]`);
  if (!(temperature > 0))
    throw new Error(`softCrossEntropy: expected a positive temperature, got ${temperature}`);
  const { device } = logits;
  const config = { x: logits, q, width, cooling: 1 / temperature };
  const grid = { groups: spread(rows, device.widest), work: 12 * logits.size };
  const losses = new Tensor(device, [rows]);
  const y = new Tensor(device, []);
  kernel.crossEntropy({ ...config, losses }, grid);
  kernel.combine({ losses, y }, { groups: [1, 1, 1], work: rows });
  free(losses);
  const backward = (dy: Tensor) => {
    const dx = new Tensor(device, logits.shape);
    kernel.backward({ ...config, dy, dx }, grid);
    return dx;
  };
  return record(y, [[logits, backward]], [logits, q]);
}
