import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("concat");

const { WG, EACH } = kernel.constants;
const PART = WG * EACH; // elements that a workgroup moves

/**
 * The channels of a, then those of b: [N,A,...] and [N,B,...] → [N,A+B,...]. Throws where the sizes differ.
 */
export function concat(a: Tensor, b: Tensor): Tensor {
  const [batch, channelsA, ...size] = a.shape;
  const [, channelsB] = b.shape;
  if (a.shape.length < 2 || `${[batch, channelsB, ...size]}` !== `${b.shape}`) {
    throw new Error(
      `concat: expected [N,A,...] and [N,B,...] of one size, got [${a.shape}] and [${b.shape}]`,
    );
  }
  const rows = { rowA: a.size / batch!, rowB: b.size / batch! };
  const grid = (row: number) => ({ groups: [Math.ceil(row / PART), batch!, 1] as const });
  const y = new Tensor(a.device, [batch!, channelsA! + channelsB!, ...size], a.precision);
  kernel.forward({ ...rows, a, b, y }, grid(rows.rowA + rows.rowB));
  return record(y, [
    [
      a,
      (dy) => {
        const da = new Tensor(a.device, a.shape, a.precision);
        kernel.backwardA({ ...rows, dy, da }, grid(rows.rowA));
        return da;
      },
    ],
    [
      b,
      (dy) => {
        const db = new Tensor(b.device, b.shape, b.precision);
        kernel.backwardB({ ...rows, dy, db }, grid(rows.rowB));
        return db;
      },
    ],
  ]);
}
