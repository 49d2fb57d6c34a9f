import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("angleLoss");

const EPS = 1e-12; // the shortest difference of two rows that has a direction

/**
 * Compares the angles between all triples of rows: the mean over (i,j,k) of smooth L1 of the difference of
 * cos ∠(x_j - x_i, x_k - x_i) in s and in t, for rows x of width K. s and t [...,K]; t is a constant. Throws
 * where the shapes differ. Park et al., "Relational knowledge distillation", CVPR 2019.
 */
export function angleLoss(s: Tensor, t: Tensor): Tensor {
  const width = s.shape.at(-1) ?? 0;
  if (s.shape.length < 2 || `${s.shape}` !== `${t.shape}`)
    throw new Error(`angleLoss: expected rows of one shape [...,K], got [${s.shape}] and [${t.shape}]`);
  const { device } = s;
  const rows = s.size / width;
  const pairs = rows * rows;
  const config = { rows, width, eps: EPS };
  const directions = (x: Tensor) => {
    const n = new Tensor(device, [rows, rows, width]);
    const inverse = new Tensor(device, [rows, rows]);
    kernel.directions({ ...config, x, n, inverse }, pairs);
    return { n, inverse };
  };
  const own = directions(s);
  const given = directions(t);
  const compared = { ...config, ns: own.n, nt: given.n };
  const sums = new Tensor(device, [rows, rows]);
  const y = new Tensor(device, []);
  kernel.rows({ ...compared, sums }, pairs);
  kernel.combine({ ...config, sums, y }, { groups: [1, 1, 1], work: sums.size });
  const backward = (dy: Tensor) => {
    const pull = new Tensor(device, own.n.shape);
    const ds = new Tensor(device, s.shape);
    kernel.pulls({ ...compared, scale: own.inverse, pull }, pairs);
    kernel.backward({ ...config, dy, pull, ds }, ds.size);
    free(pull);
    return ds;
  };
  record(y, [[s, backward]], [own.n, own.inverse, given.n]);
  [sums, own.n, own.inverse, given.n, given.inverse].forEach(free);
  return y;
}
