// The product of two matrices, each as stored or transposed.

import { spread } from "../../gpu/grid.ts";
import { shader } from "../../gpu/shader.ts";
import { Tensor } from "../../autograd/tensor.ts";

const kernel = await shader("linear");

/** A matrix [M,N], or the transpose of one [N,M]. */
export interface Factor {
  matrix: Tensor;
  transposed?: boolean;
}

/** scale · a · b, for a [M,K] and b [K,N] → [M,N]. Not recorded on the tape. */
export function product(a: Factor, b: Factor, scale = 1): Tensor {
  const [rows, inner, strideM, strideA] = layout(a);
  const [, columns, strideB, strideN] = layout(b);
  const { device } = a.matrix;
  const y = new Tensor(device, [rows, columns]);
  const config = { inner, columns, strideM, strideA, strideB, strideN, scale };
  kernel.product(
    { ...config, a: a.matrix, b: b.matrix, y },
    { groups: spread(y.size, device.widest), work: 4 * y.size * inner },
  );
  return y;
}

/** The rows and columns of a factor, and its strides along both. */
function layout({ matrix, transposed = false }: Factor): [number, number, number, number] {
  const [rows, columns] = matrix.shape as [number, number];
  return transposed ? [columns, rows, 1, columns] : [rows, columns, columns, 1];
}
