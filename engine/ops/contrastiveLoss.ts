import { spread } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("contrastiveLoss");

/**
 * The mean over all N² pairs of a row of a and a row of b: d² for rows of one index, else
 * max(0, margin - d)², with d the length of their difference. a and b [N,...] → a scalar, differentiated by
 * both. Throws where the shapes differ. Hadsell et al., "Dimensionality reduction by learning an invariant
 * mapping", CVPR 2006.
 */
export function contrastiveLoss(a: Tensor, b: Tensor, margin = 1): Tensor {
  const [rows = 0] = a.shape;
  if (a.size === 0 || a.shape.length < 2 || `${a.shape}` !== `${b.shape}`) {
    throw new Error(
      `contrastiveLoss: expected tensors of one shape [N,...], got [${a.shape}] and [${b.shape}]`,
    );
  }
  if (!(margin > 0)) throw new Error(`contrastiveLoss: expected a positive margin, got ${margin}`);
  const { device, shape } = a;
  const squares = new Tensor(device, [rows, rows]);
  const y = new Tensor(device, []);
  const config = { rows, width: a.size / rows, margin, strideA: rows, strideB: 1 };
  const grid = { groups: spread(squares.size, device.widest), work: 3 * rows * a.size };
  kernel.compare({ ...config, a, b, squares }, grid);
  kernel.combine({ ...config, squares, y }, { groups: [1, 1, 1], work: 5 * squares.size });
  const work = 8 * rows * a.size;
  const backwardA = (dy: Tensor) => {
    const da = new Tensor(device, shape);
    kernel.backward({ ...config, a, b, squares, dy, da }, { invocations: da.size, work });
    return da;
  };
  const backwardB = (dy: Tensor) => {
    const db = new Tensor(device, shape);
    const exchanged = { ...config, a: b, b: a, strideA: 1, strideB: rows };
    kernel.backward({ ...exchanged, squares, dy, da: db }, { invocations: db.size, work });
    return db;
  };
  const inputs = [
    [a, backwardA],
    [b, backwardB],
  ] as const;
  record(y, inputs, [a, b, squares]);
  free(squares);
  return y;
}
