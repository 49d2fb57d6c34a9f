// Instance norm, alone or with the ReLU and the skip that follow it in a network. batchNorm.ts shares its
// parts.

import { shader } from "../gpu/shader.ts";
import { type Input, record } from "../autograd/tape.ts";
import { scope, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("instanceNorm");

const CHUNK = 8192; // voxels of a workgroup: 128 of each thread

const QUAD = 4; // values of a load, where a channel has a multiple of them

/** The threads of a workgroup for so many loads. Few are done faster by few threads. */
const width = (loads: number) => (loads > 512 ? 64 : 8);

export interface InstanceNormOptions {
  eps?: number;
  /**
   * The moments of x [N,C,chunks,4], if conv3dWithMoments() returned them: x is then read once, not twice.
   */
  moments?: Tensor | null;
}

/**
 * Instance norm (Ulyanov et al. 2016): weight·(x - mean)/√(variance + eps) + bias, with the mean and variance
 * of each channel of each sample over its voxels. x [N,C,...], weight and bias [C]. A channel of equal voxels
 * becomes its bias.
 */
export function instanceNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { eps = 1e-5, moments = null }: InstanceNormOptions = {},
): Tensor {
  checkNorm("instanceNorm", x, { weight, bias }, { moments });
  return scope(() => {
    const statistics = statisticsOf(x, 1, eps, moments);
    return normalise(x, weight, bias, { statistics, together: 1 });
  });
}

/**
 * relu(instanceNorm(x, weight, bias)), plus `skip` of x's shape if given. One pass forward; for the backward
 * pass it keeps x alone.
 */
export function instanceNormRelu(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { skip = null, eps = 1e-5, moments = null }: InstanceNormOptions & { skip?: Tensor | null } = {},
): Tensor {
  checkNorm("instanceNormRelu", x, { weight, bias }, { skip, moments });
  return scope(() => {
    const statistics = statisticsOf(x, 1, eps, moments);
    return normalise(x, weight, bias, { statistics, together: 1, activated: true, skip });
  });
}

/**
 * The channels and chunks of voxels of a tensor [N,C,...] whose samples share statistics, `together` of them.
 */
function layout({ shape }: Tensor, together: number) {
  const [batch, channels, ...size] = shape as [number, number, ...number[]];
  const voxels = size.reduce((a, b) => a * b, 1);
  const chunks = Math.ceil(voxels / CHUNK);
  return {
    batch,
    channels,
    chunks,
    samples: batch / together,
    config: { channels, voxels, chunk: CHUNK, together },
    loads: loadsOf(voxels),
    grid: { groups: [chunks, channels, batch] as const },
  };
}

/** The loads of a row of `voxels`: by fours if that divides them; and the threads of a workgroup. */
function loadsOf(voxels: number) {
  const WIDE = voxels % QUAD === 0;
  return { WIDE, WG: width(WIDE ? voxels / QUAD : voxels) };
}

/**
 * [N/together, C, 4]: shift, mean of x - shift, variance, 1/√(variance + eps), over `together` samples of a
 * channel. They are merged from `given`, the moments of x [N,C,chunks,4], or computed from x where those are
 * null. Moments are, for each chunk of a channel's voxels: their count, a shift, the mean of x - shift, and
 * the sum of squares about that mean. Chunks may have any size, even 0. Digits are lost where |mean - shift|
 * exceeds the standard deviation.
 */
export function statisticsOf(x: Tensor, together: number, eps: number, given: Tensor | null = null): Tensor {
  const { channels, samples, chunks, config, loads, grid } = layout(x, together);
  return scope(() => {
    const statistics = new Tensor(x.device, [samples, channels, 4]);
    if (!given && together === 1 && chunks === 1) {
      kernel.rowStatistics({ ...config, ...loads, eps, x, statistics }, grid);
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

/** The moments of x, computed from x itself. */
export function partialMoments(x: Tensor): Tensor {
  const { batch, channels, chunks, config, loads, grid } = layout(x, 1);
  const moments = new Tensor(x.device, [batch, channels, chunks, 4]);
  kernel.partialMoments({ ...config, ...loads, x, moments }, grid);
  return moments;
}

export interface Normalisation {
  statistics: Tensor;
  /** Samples that share statistics. */
  together: number;
  /** True if the statistics do not depend on x. */
  constant?: boolean;
  /** True if a ReLU follows. */
  activated?: boolean;
  /** Added to the output. */
  skip?: Tensor | null;
}

/** weight·(x - mean)/√(variance + eps) + bias, then the ReLU and the skip if there are any. */
export function normalise(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { statistics, together, constant = false, activated = false, skip = null }: Normalisation,
): Tensor {
  const { device, shape, precision } = x;
  const { batch, channels, samples, chunks, config, loads, grid } = layout(x, together);
  const given = { ...config, ...loads, x, weight, bias, statistics, activated };
  const y = new Tensor(device, shape, precision);
  const joined = { skip: skip ?? x, added: skip !== null }; // x is bound where there is no skip, and not read
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

/**
 * Throws unless x is [N,C,...] with values, each of `vectors` is [C], a skip has x's shape, and moments fit
 * it.
 */
export function checkNorm(
  op: string,
  x: Tensor,
  vectors: Readonly<Record<string, Tensor>>,
  { skip = null, moments = null }: { skip?: Tensor | null; moments?: Tensor | null } = {},
): void {
  const [batch, channels] = x.shape;
  if (x.shape.length < 2 || x.size === 0) throw new Error(`${op}: expected x [N,C,...], got [${x.shape}]`);
  for (const [name, { shape }] of Object.entries(vectors)) {
    if (`${shape}` !== `${channels}`)
      throw new Error(`${op}: expected ${name} [${channels}], got [${shape}]`);
  }
  if (skip && `${skip.shape}` !== `${x.shape}`)
    throw new Error(`${op}: expected a skip [${x.shape}], got [${skip.shape}]`);
  if (moments && `${moments.shape}` !== `${[batch, channels, moments.shape[2], 4]}`)
    throw new Error(`${op}: expected moments [${batch},${channels},chunks,4], got [${moments.shape}]`);
}
