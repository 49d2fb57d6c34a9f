import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("meanSquaredError");
const { CHUNK } = kernel.constants; // elements of a partial sum

/**
 * The mean of (a - b)² over all elements, or with a `weight` [C] the mean weighted by the channels of
 * [N,C,...]: with weights 0 and 1 the mean over the chosen channels, 0 where none is chosen. Differentiated
 * by a and b. Throws where the shapes differ.
 */
export function meanSquaredError(a: Tensor, b: Tensor, weight?: Tensor): Tensor {
  if (`${a.shape}` !== `${b.shape}`) {
    throw new Error(`meanSquaredError: expected two tensors of one shape, got [${a.shape}] and [${b.shape}]`);
  }
  const [batch, channels] = a.shape.length > 1 ? (a.shape as [number, number]) : [1, 1];
  if (weight && (a.shape.length < 2 || `${weight.shape}` !== `${channels}`)) {
    throw new Error(
      `meanSquaredError: expected one weight for each channel of [${a.shape}], got [${weight.shape}]`,
    );
  }
  const rows = batch * channels;
  const voxels = a.size / rows;
  const config = { rows, channels: weight ? channels : 0, voxels, weight: weight ?? a }; // a is not read
  const chunks = Math.ceil(voxels / CHUNK);
  const sums = new Tensor(a.device, [rows, chunks]);
  const y = new Tensor(a.device, []);
  const scale = new Tensor(a.device, []);
  kernel.partial({ ...config, a, b, sums, sign: 1 }, { groups: [chunks, rows, 1], work: 4 * a.size });
  kernel.combine({ ...config, sums, y, scale, sign: 1 }, { groups: [1, 1, 1], work: sums.size });
  free(sums);
  const backward = (dy: Tensor, sign: number) => {
    const dx = new Tensor(a.device, a.shape);
    kernel.backward(
      { ...config, a, b, dy, scale, dx, sign },
      { groups: [chunks, rows, 1], work: 4 * a.size },
    );
    return dx;
  };
  const inputs = [
    [a, (dy: Tensor) => backward(dy, 1)],
    [b, (dy: Tensor) => backward(dy, -1)],
  ] as const;
  return record(y, inputs, [a, b, scale, ...(weight ? [weight] : [])]);
}
