import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("multiply");

/** a · b, elementwise. Differentiated by both. Throws where the shapes differ. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  if (`${a.shape}` !== `${b.shape}`)
    throw new Error(`multiply: shapes differ, [${a.shape}] and [${b.shape}]`);
  const y = product(a, b);
  return record(
    y,
    [
      [a, (dy) => product(dy, b)],
      [b, (dy) => product(dy, a)],
    ],
    [a, b],
  );
}

function product(a: Tensor, b: Tensor): Tensor {
  const y = new Tensor(a.device, a.shape, a.precision);
  kernel.forward({ a, b, y }, y.size);
  return y;
}
