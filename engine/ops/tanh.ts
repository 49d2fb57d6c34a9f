import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("tanh");

/** The hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  const y = new Tensor(x.device, x.shape, x.precision);
  kernel.forward({ x, y }, y.size);
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape, x.precision);
    kernel.backward({ y, dy, dx }, dx.size);
    return dx;
  };
  return record(y, [[x, backward]], [y]);
}
