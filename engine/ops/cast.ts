import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import type { Precision } from "../gpu/operand.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("cast");

/** x in another precision, or x itself. An f16 beyond ±65504 is infinite. The gradient is cast back. */
export function cast(x: Tensor, precision: Precision): Tensor {
  if (x.precision === precision) return x;
  const y = new Tensor(x.device, x.shape, precision);
  if (precision === "f16") kernel.narrow({ wide: x, narrowed: y }, x.size);
  else kernel.widen({ halves: x, widened: y }, x.size);
  return record(y, [[x, (dy) => cast(dy, x.precision)]]);
}
