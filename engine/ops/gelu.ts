import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("gelu");

/** x · Φ(x), with Φ the integral of the standard normal distribution: the exact form, PyTorch's default. */
export function gelu(x: Tensor): Tensor {
  const y = new Tensor(x.device, x.shape, x.precision);
  kernel.forward({ x, y }, y.size);
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape, x.precision);
    kernel.backward({ x, dy, dx }, dx.size);
    return dx;
  };
  return record(y, [[x, backward]], [x]);
}
