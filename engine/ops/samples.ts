import { record } from "../autograd/tape.ts";
import { BYTES } from "../gpu/operand.ts";
import { Tensor } from "../autograd/tensor.ts";
import { cast } from "./cast.ts";
import { fill } from "./fill.ts";

/**
 * The samples from … to-1 of a batch, as a copy: [N,...] → [to-from,...]. Throws where the batch has fewer.
 */
export function samples(x: Tensor, from: number, to: number): Tensor {
  const [batch, ...size] = x.shape;
  if (batch === undefined || !(0 <= from && from < to && to <= batch)) {
    throw new Error(`samples: expected 0 <= from < to <= N of [N,...], got ${from}, ${to} of [${x.shape}]`);
  }
  const bytes = (BYTES[x.precision] * x.size) / batch; // of a sample: copies take whole words
  if (bytes % 4) return cast(samples(cast(x, "f32"), from, to), x.precision);
  const y = new Tensor(x.device, [to - from, ...size], x.precision);
  x.device.copy(x.buffer, x.storage.offset + from * bytes, y.buffer, y.storage.offset, y.bytes);
  const backward = (dy: Tensor) => {
    const dx = fill(x.device, x.shape, 0, x.precision);
    x.device.copy(dy.buffer, dy.storage.offset, dx.buffer, dx.storage.offset + from * bytes, dy.bytes);
    return dx;
  };
  return record(y, [[x, backward]]);
}
