import { product } from "./common/product.ts";
import { shader } from "../gpu/shader.ts";
import { type Input, record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("linear");

/** x · weightᵀ + bias: x [N,I], weight [O,I], bias [O] or null → [N,O]. As PyTorch's linear. */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  const [outputs, inputs] = weight.shape;
  if (x.shape.length !== 2 || weight.shape.length !== 2 || x.shape[1] !== inputs) {
    throw new Error(`linear: expected x [N,I] and weight [O,I], got [${x.shape}] and [${weight.shape}]`);
  }
  if (bias && `${bias.shape}` !== `${outputs}`) {
    throw new Error(`linear: expected a bias [${outputs}], got [${bias.shape}]`);
  }
  const gradients: Input[] = [
    [x, (dy) => product({ matrix: dy }, { matrix: weight })],
    [weight, (dy) => product({ matrix: dy, transposed: true }, { matrix: x })],
  ];
  const sum = product({ matrix: x }, { matrix: weight, transposed: true });
  if (!bias) return record(sum, gradients, [x, weight]);
  const y = new Tensor(x.device, sum.shape);
  kernel.addBias({ sum, bias, y }, y.size);
  free(sum);
  const backwardBias = (dy: Tensor) => {
    const dbias = new Tensor(x.device, bias.shape);
    kernel.backwardBias({ dy, dbias }, { groups: [outputs!, 1, 1], work: 4 * dy.size });
    return dbias;
  };
  return record(y, [...gradients, [bias, backwardBias]], [x, weight]);
}
