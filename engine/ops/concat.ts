import { shader } from "../shader.ts";
import { record } from "../tape.ts";
import { Tensor } from "../tensor.ts";

const kernel = await shader("concat");

/** The channels of a, then those of b: [N,A,...] and [N,B,...] of one size → [N,A+B,...]. */
export function concat(a: Tensor, b: Tensor): Tensor {
  const [batch, channelsA, ...size] = a.shape;
  const [, channelsB] = b.shape;
  if (a.shape.length < 2 || `${[batch, channelsB, ...size]}` !== `${b.shape}`) {
    throw new Error(
      `concat: expected [N,A,...] and [N,B,...] of one size, got [${a.shape}] and [${b.shape}]`,
    );
  }
  const rows = { rowA: a.size / batch!, rowB: b.size / batch! };
  const y = new Tensor(a.device, [batch!, channelsA! + channelsB!, ...size]);
  kernel.forward({ ...rows, a, b, y }, y.size);
  return record(y, [
    [
      a,
      (dy) => {
        const da = new Tensor(a.device, a.shape);
        kernel.backwardA({ ...rows, dy, da }, da.size);
        return da;
      },
    ],
    [
      b,
      (dy) => {
        const db = new Tensor(b.device, b.shape);
        kernel.backwardB({ ...rows, dy, db }, db.size);
        return db;
      },
    ],
  ]);
}
