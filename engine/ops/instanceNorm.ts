// Instance norm, and the normalisation by given or computed statistics that batch norm shares with it.

import { shader } from "../shader.ts";
import { record } from "../tape.ts";
import { scope, Tensor } from "../tensor.ts";

const kernel = await shader("instanceNorm");

const CHUNK = 4096; // voxels that one workgroup reduces: 64 a thread

/** Standardises each channel of each sample over its voxels: weight·(x - mean)/√(variance + eps) + bias.
 *  x [N,C,...], weight and bias [C]. A channel of one voxel, or of equal ones, becomes its bias. */
export function instanceNorm(x: Tensor, weight: Tensor, bias: Tensor, eps = 1e-5): Tensor {
  checkNorm("instanceNorm", x, { weight, bias });
  return scope(() =>
    normalise(x, weight, bias, { statistics: statisticsOf(x, 1, eps), together: 1, constant: false }),
  );
}

/** How a tensor is cut into channels and rows of voxels; `together` samples share statistics. */
function layout({ shape }: Tensor, together: number) {
  const [batch, channels, ...size] = shape as [number, number, ...number[]];
  const voxels = size.reduce((a, b) => a * b, 1);
  const chunks = Math.ceil(voxels / CHUNK);
  return {
    batch,
    groups: (batch / together) * channels,
    chunks,
    config: { channels, voxels, chunk: CHUNK, together },
  };
}

/** [groups, 4]: shift, mean of x - shift, variance, 1/√(variance + eps), over `together` samples of a channel. */
export function statisticsOf(x: Tensor, together: number, eps: number): Tensor {
  const { batch, groups, chunks, config } = layout(x, together);
  return scope(() => {
    const partial = new Tensor(x.device, [groups, together, chunks, 2]);
    kernel.partialMoments({ ...config, x, partial }, { groups: [chunks, config.channels, batch] });
    const statistics = new Tensor(x.device, [groups, 4]);
    kernel.mergeMoments({ ...config, eps, x, partial, statistics }, { groups: [groups, 1, 1] });
    return statistics;
  });
}

/** x by its statistics [groups, 4]; `constant` says that these do not depend on x. */
export function normalise(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { statistics, together, constant }: { statistics: Tensor; together: number; constant: boolean },
): Tensor {
  const { device } = x;
  const { batch, groups, chunks, config } = layout(x, together);
  const y = new Tensor(device, x.shape);
  kernel.forward({ ...config, x, weight, bias, statistics, y }, y.size);

  const reduce = (dy: Tensor) => {
    const partial = new Tensor(device, [groups, together, chunks, 2]);
    kernel.partialSums(
      { ...config, x, dy, statistics, partial },
      { groups: [chunks, config.channels, batch] },
    );
    const sums = new Tensor(device, [groups, 2]);
    kernel.mergeSums({ partial, sums }, { groups: [groups, 1, 1] });
    return sums;
  };
  return record(
    y,
    [
      [
        x,
        (dy, sums) => {
          const dx = new Tensor(device, x.shape);
          kernel.backwardInput({ ...config, x, weight, statistics, dy, sums, dx, constant }, dx.size);
          return dx;
        },
      ],
      [
        weight,
        (_, sums) => {
          const dweight = new Tensor(device, weight.shape);
          kernel.backwardWeight({ ...config, sums, dweight }, dweight.size);
          return dweight;
        },
      ],
      [
        bias,
        (_, sums) => {
          const dbias = new Tensor(device, bias.shape);
          kernel.backwardBias({ ...config, sums, dbias }, dbias.size);
          return dbias;
        },
      ],
    ],
    [x, weight, statistics],
    reduce,
  );
}

/** Throws unless x is [N,C,...] with values, and each of `vectors` is [C]. */
export function checkNorm(op: string, x: Tensor, vectors: Readonly<Record<string, Tensor>>): void {
  const [, channels] = x.shape;
  if (x.shape.length < 2 || x.size === 0) throw new Error(`${op}: expected x [N,C,...], got [${x.shape}]`);
  for (const [name, { shape }] of Object.entries(vectors)) {
    if (`${shape}` !== `${channels}`)
      throw new Error(`${op}: expected ${name} [${channels}], got [${shape}]`);
  }
}
