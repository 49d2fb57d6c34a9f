import { product } from "./common/product.ts";
import { spread } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, scope, Tensor } from "../autograd/tensor.ts";
import { fill } from "./fill.ts";
import { normalise, statisticsOf } from "./instanceNorm.ts";

const kernel = await shader("barlowTwins");
const { CHUNK } = kernel.constants; // elements of a partial sum

/**
 * Σ_i (1 - C_ii)² + lambda · Σ_{i≠j} C_ij², where C is the correlation of the columns of a with those of b,
 * each standardised over the rows by its mean and √(variance + eps). a and b [N,D] → a scalar, differentiated
 * by both. Throws where the shapes differ. Zbontar et al., "Barlow Twins", ICML 2021; in their code lambda is
 * 0.0051.
 */
export function barlowTwins(a: Tensor, b: Tensor, { lambda = 0.0051, eps = 1e-5 } = {}): Tensor {
  if (a.shape.length !== 2 || `${a.shape}` !== `${b.shape}`) {
    throw new Error(
      `barlowTwins: expected two tensors of one shape [N,D], got [${a.shape}] and [${b.shape}]`,
    );
  }
  return scope(() => {
    const weight = fill(a.device, [a.shape[1]!], 1);
    const bias = fill(a.device, [a.shape[1]!], 0);
    const standardised = (z: Tensor) => {
      const together = z.shape[0]!;
      return normalise(z, weight, bias, {
        statistics: statisticsOf(z, together, eps),
        together,
        constant: false,
      });
    };
    return redundancy(correlation(standardised(a), standardised(b)), lambda);
  });
}

/** aᵀ · b / N of two matrices [N,D] → [D,D]. */
function correlation(a: Tensor, b: Tensor): Tensor {
  const scale = 1 / a.shape[0]!;
  return record(
    product({ matrix: a, transposed: true }, { matrix: b }, scale),
    [
      [a, (dy) => product({ matrix: b }, { matrix: dy, transposed: true }, scale)],
      [b, (dy) => product({ matrix: a }, { matrix: dy }, scale)],
    ],
    [a, b],
  );
}

/** The sum of squared differences from the identity, those off the diagonal times lambda. */
function redundancy(matrix: Tensor, lambda: number): Tensor {
  const { device, size, shape } = matrix;
  const config = { correlation: matrix, width: shape[0]!, lambda };
  const chunks = Math.ceil(size / CHUNK);
  const sums = new Tensor(device, [chunks]);
  const y = new Tensor(device, []);
  kernel.partial({ ...config, sums }, { groups: spread(chunks, device.widest), work: 4 * size });
  kernel.combine({ sums, y }, { groups: [1, 1, 1], work: chunks });
  free(sums);
  const backward = (dy: Tensor) => {
    const dcorrelation = new Tensor(device, shape);
    kernel.backward({ ...config, dy, dcorrelation }, size);
    return dcorrelation;
  };
  return record(y, [[matrix, backward]], [matrix]);
}
