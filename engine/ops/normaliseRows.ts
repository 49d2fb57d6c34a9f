import { spread } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("normaliseRows");

/** Each row divided by its length: x / max(‖x‖, eps). x [N,...] → the same shape; a row is a sample. */
export function normaliseRows(x: Tensor, eps = 1e-12): Tensor {
  const [rows = 0] = x.shape;
  if (x.size === 0 || x.shape.length < 2) {
    throw new Error(`normaliseRows: expected [N,...], got [${x.shape}]`);
  }
  if (!(eps > 0)) throw new Error(`normaliseRows: expected a positive eps, got ${eps}`);
  const config = { x, width: x.size / rows, eps };
  const grid = { groups: spread(rows, x.device.widest), work: 6 * x.size };
  const y = new Tensor(x.device, x.shape);
  kernel.forward({ ...config, y }, grid);
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape);
    kernel.backward({ ...config, dy, dx }, grid);
    return dx;
  };
  return record(y, [[x, backward]], [x]);
}
