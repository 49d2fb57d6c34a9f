// Instance norm, alone and with the ReLU and the skip that follow it in a network, and the normalisation by given
// or computed statistics that batch norm shares with it.

import { shader } from "../gpu/shader.ts";
import { type Input, record } from "../autograd/tape.ts";
import { scope, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("instanceNorm");

const CHUNK = 8192; // voxels that one workgroup goes through: 128 a thread

/** Threads of a workgroup for so many values: few values are not worth many threads' meeting. */
const width = (values: number) => (values > 512 ? 64 : 8);

/** Standardises each channel of each sample over its voxels: weight·(x - mean)/√(variance + eps) + bias.
 *  x [N,C,...], weight and bias [C]. A channel of one voxel, or of equal ones, becomes its bias. */
export function instanceNorm(x: Tensor, weight: Tensor, bias: Tensor, eps = 1e-5): Tensor {
  checkNorm("instanceNorm", x, { weight, bias });
  return scope(() => normalise(x, weight, bias, { statistics: statisticsOf(x, 1, eps), together: 1 }));
}

/** relu(instanceNorm(x, weight, bias)), and `skip` added to that, of x's shape: in one pass, and of all that only x
 *  is kept for the backward pass. */
export function instanceNormRelu(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { skip = null, eps = 1e-5 }: { skip?: Tensor | null; eps?: number } = {},
): Tensor {
  checkNorm("instanceNormRelu", x, { weight, bias }, skip);
  return scope(() => {
    const statistics = statisticsOf(x, 1, eps);
    return normalise(x, weight, bias, { statistics, together: 1, activated: true, skip });
  });
}

/** How a tensor is cut into channels and rows of voxels; `together` samples share statistics. */
function layout({ shape }: Tensor, together: number) {
  const [batch, channels, ...size] = shape as [number, number, ...number[]];
  const voxels = size.reduce((a, b) => a * b, 1);
  const chunks = Math.ceil(voxels / CHUNK);
  return {
    ...{ batch, channels, chunks, samples: batch / together },
    config: { channels, voxels, chunk: CHUNK, together, WG: width(voxels) },
    grid: { groups: [chunks, channels, batch] as const },
  };
}

/**
 * [N/together, C, 4]: shift, mean of x - shift, variance, 1/√(variance + eps), over `together` samples of a channel.
 * They are merged from `x.moments` [N,C,chunks,4], where the op that made x took those: of each chunk of a channel's
 * voxels their count, a shift, the mean of x - shift, and the sum of squares about that mean. Chunks may be of any
 * size, and empty; the larger |mean - shift| is beside the standard deviation, the more digits are lost.
 */
export function statisticsOf(x: Tensor, together: number, eps: number): Tensor {
  const { channels, samples, chunks, config, grid } = layout(x, together);
  return scope(() => {
    const given = x.moments?.storage.buffer ? x.moments : null; // may be gone before x is
    const statistics = new Tensor(x.device, [samples, channels, 4]);
    if (!given && together === 1 && chunks === 1) {
      kernel.rowStatistics({ ...config, eps, x, statistics }, grid);
      return statistics;
    }
    const moments = given ?? partialMoments(x);
    kernel.mergeMoments(
      { ...config, WG: width(moments.size / statistics.size), eps, moments, statistics },
      { groups: [channels, samples, 1] },
    );
    return statistics;
  });
}

/** What `x.moments` may be, taken from x itself. */
export function partialMoments(x: Tensor): Tensor {
  const { batch, channels, chunks, config, grid } = layout(x, 1);
  const moments = new Tensor(x.device, [batch, channels, chunks, 4]);
  kernel.partialMoments({ ...config, x, moments }, grid);
  return moments;
}

export interface Normalisation {
  statistics: Tensor;
  /** Samples that share statistics. */
  together: number;
  /** Whether the statistics do not depend on x. */
  constant?: boolean;
  /** Whether a ReLU follows. */
  activated?: boolean;
  /** Added to the output. */
  skip?: Tensor | null;
}

/** x by its statistics, activated, and added to. */
export function normalise(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { statistics, together, constant = false, activated = false, skip = null }: Normalisation,
): Tensor {
  const { device, shape, precision } = x;
  const { batch, channels, samples, chunks, config, grid } = layout(x, together);
  const given = { ...config, x, weight, bias, statistics, activated };
  const y = new Tensor(device, shape, precision);
  const joined = { skip: skip ?? x, added: skip !== null }; // in the place of none x is bound, and not read
  kernel.forward({ ...given, ...joined, y }, grid);

  const reduce = (dy: Tensor) => {
    const partial = new Tensor(device, [batch, channels, chunks, 2]);
    kernel.partialSums({ ...given, dy, partial }, grid);
    const sums = new Tensor(device, [samples, channels, 2]);
    const dweight = new Tensor(device, [channels]);
    const dbias = new Tensor(device, [channels]);
    kernel.mergeSums(
      { ...config, WG: width(together * chunks), partial, sums, dweight, dbias },
      { groups: [channels, 1, 1] },
    );
    return { sums, dweight, dbias };
  };
  const inputs: Input<ReturnType<typeof reduce>>[] = [
    [
      x,
      (dy, { sums }) => {
        const dx = new Tensor(device, shape, precision);
        kernel.backwardInput({ ...given, dy, sums, dx, constant }, grid);
        return dx;
      },
    ],
    [weight, (_, { dweight }) => dweight],
    [bias, (_, { dbias }) => dbias],
  ];
  if (skip) inputs.push([skip, (dy) => dy]);
  return record(y, inputs, [x, weight, bias, statistics], reduce);
}

/** Throws unless x is [N,C,...] with values, each of `vectors` is [C], and a skip is of x's shape. */
export function checkNorm(
  op: string,
  x: Tensor,
  vectors: Readonly<Record<string, Tensor>>,
  skip: Tensor | null = null,
): void {
  const [, channels] = x.shape;
  if (x.shape.length < 2 || x.size === 0) throw new Error(`${op}: expected x [N,C,...], got [${x.shape}]`);
  for (const [name, { shape }] of Object.entries(vectors)) {
    if (`${shape}` !== `${channels}`)
      throw new Error(`${op}: expected ${name} [${channels}], got [${shape}]`);
  }
  if (skip && `${skip.shape}` !== `${x.shape}`)
    throw new Error(`${op}: expected a skip [${x.shape}], got [${skip.shape}]`);
}
