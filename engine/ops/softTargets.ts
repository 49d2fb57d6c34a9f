// The targets of self-distillation over K prototypes, and how evenly they spread. No gradient passes here.

import { spread } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("softTargets");

/** softmax((x - center) / temperature) of each row: x [N,K], center [1,K] → [N,K], a constant. */
export function softTargets(x: Tensor, center: Tensor, temperature: number): Tensor {
  const [rows, width] = matrix("softTargets", x);
  if (center.size !== width)
    throw new Error(`softTargets: expected a center [1,${width}], got [${center.shape}]`);
  if (!(temperature > 0)) throw new Error(`softTargets: expected a positive temperature, got ${temperature}`);
  const y = new Tensor(x.device, x.shape);
  const grid = { groups: spread(rows, x.device.widest), work: 12 * x.size };
  kernel.softmax({ x, center, y, width, cooling: 1 / temperature }, grid);
  return y;
}

/** The mean of each column: [N,K] → [1,K], a constant. */
export function columnMeans(x: Tensor): Tensor {
  const [, width] = matrix("columnMeans", x);
  const y = new Tensor(x.device, [1, width]);
  kernel.columns({ x, y, width, cooling: 1 }, { invocations: width, work: x.size });
  return y;
}

/** The mean over rows of -Σ p log p, in nats: p [N,K] of numbers from 0 to 1 → a scalar, a constant. */
export function meanEntropy(p: Tensor): Tensor {
  const [rows, width] = matrix("meanEntropy", p);
  const losses = new Tensor(p.device, [rows]);
  const y = new Tensor(p.device, []);
  const grid = { groups: spread(rows, p.device.widest), work: 5 * p.size };
  kernel.entropy({ x: p, losses, width, cooling: 1 }, grid);
  kernel.combine({ losses, y }, { groups: [1, 1, 1], work: rows });
  free(losses);
  return y;
}

/** The rows and columns of a matrix. Throws, in the name of `op`, for another tensor. */
export function matrix(op: string, { shape, size }: Tensor): [rows: number, columns: number] {
  const [rows = 0, columns = 0] = shape;
  if (shape.length !== 2 || size === 0) throw new Error(`${op}: expected [N,K], got [${shape}]`);
  return [rows, columns];
}
