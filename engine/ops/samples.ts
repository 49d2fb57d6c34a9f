import { record } from "../tape.ts";
import { Tensor } from "../tensor.ts";
import { fill } from "./fill.ts";

/** The samples from … to-1 of a batch: [N,...] → [to-from,...]. A copy, since a view would have to begin at 256 bytes. */
export function samples(x: Tensor, from: number, to: number): Tensor {
  const [batch, ...size] = x.shape;
  if (batch === undefined || !(0 <= from && from < to && to <= batch)) {
    throw new Error(`samples: expected 0 <= from < to <= N of [N,...], got ${from}, ${to} of [${x.shape}]`);
  }
  const y = new Tensor(x.device, [to - from, ...size]);
  const offset = (4 * from * x.size) / batch;
  x.device.copy(x.buffer, x.storage.offset + offset, y.buffer, y.storage.offset, 4 * y.size);
  const backward = (dy: Tensor) => {
    const dx = fill(x.device, x.shape, 0);
    x.device.copy(dy.buffer, dy.storage.offset, dx.buffer, dx.storage.offset + offset, 4 * dy.size);
    return dx;
  };
  return record(y, [[x, backward]]);
}
