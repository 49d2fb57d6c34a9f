import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("relu");

/** x where positive, 0 elsewhere; its derivative at 0 is 0. */
export function relu(x: Tensor): Tensor {
  const y = new Tensor(x.device, x.shape, x.precision);
  kernel.forward({ x, y }, y.size);
  return record(
    y,
    [
      [
        x,
        (dy) => {
          const dx = new Tensor(x.device, x.shape, x.precision);
          kernel.backward({ y, dy, dx }, dx.size);
          return dx;
        },
      ],
    ],
    [y],
  );
}
