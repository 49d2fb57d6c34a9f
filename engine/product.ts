// The product of two matrices, either of them as it lies in memory or transposed.

import type { GroupCounts } from "./device.ts";
import { shader } from "./shader.ts";
import { Tensor } from "./tensor.ts";

const kernel = await shader("linear");

/** A matrix [M,N], or the transpose of one [N,M]. */
export interface Factor {
  matrix: Tensor;
  transposed?: boolean;
}

/** scale · a · b, for a [M,K] and b [K,N] → [M,N]. Not recorded: it is what gradients are made of. */
export function product(a: Factor, b: Factor, scale = 1): Tensor {
  const [rows, inner, strideM, strideA] = layout(a);
  const [, columns, strideB, strideN] = layout(b);
  const y = new Tensor(a.matrix.device, [rows, columns]);
  const config = { inner, columns, strideM, strideA, strideB, strideN, scale };
  kernel.product(
    { ...config, a: a.matrix, b: b.matrix, y },
    { groups: spread(y.size), work: 4 * y.size * inner },
  );
  return y;
}

/** Rows, columns, and the strides of both. */
function layout({ matrix, transposed = false }: Factor): [number, number, number, number] {
  const [rows, columns] = matrix.shape as [number, number];
  return transposed ? [columns, rows, 1, columns] : [rows, columns, columns, 1];
}

/** A workgroup for each element: one dimension holds at most 65,535. */
function spread(elements: number): GroupCounts {
  const y = Math.ceil(elements / 65535);
  return [Math.ceil(elements / y), y, 1];
}
