// Batch norm: instance norm whose samples share their statistics. See instanceNorm.ts.

import { shader } from "../gpu/shader.ts";
import { isRepetition } from "../autograd/tape.ts";
import { scope, Tensor } from "../autograd/tensor.ts";
import {
  checkNorm,
  type InstanceNormOptions,
  type Normalisation,
  normalise,
  statisticsOf,
} from "./instanceNorm.ts";

const kernel = await shader("batchNorm");

/** Averages [C] over the batches seen in training. The program owns them; they are not parameters. */
export type Running = { readonly mean: Tensor; readonly variance: Tensor };

interface Training extends InstanceNormOptions {
  /** The part of the running statistics that a batch replaces. */
  momentum?: number;
}

/**
 * Batch norm in training (Ioffe and Szegedy 2015): standardises each channel over samples and voxels, and
 * moves the running statistics towards the batch's by `momentum`; the variance is unbiased there, as in
 * PyTorch. x [N,C,...], all else [C]. Throws if a channel has a single value.
 */
export function batchNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  running: Running,
  options: Training = {},
): Tensor {
  checkNorm("batchNorm", x, { weight, bias, ...running }, options);
  return scope(() => normalise(x, weight, bias, ofBatch("batchNorm", x, running, options)));
}

/** relu(batchNorm(x, weight, bias, running)), plus `skip` if given: see instanceNormRelu(). */
export function batchNormRelu(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  running: Running,
  { skip = null, ...options }: Training & { skip?: Tensor | null } = {},
): Tensor {
  checkNorm("batchNormRelu", x, { weight, bias, ...running }, { skip, moments: options.moments ?? null });
  return scope(() => {
    const statistics = ofBatch("batchNormRelu", x, running, options);
    return normalise(x, weight, bias, { ...statistics, activated: true, skip });
  });
}

/** Batch norm in use: standardises each channel by the running statistics. x [N,C,...], all else [C]. */
export function batchNormEval(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  running: Running,
  { eps = 1e-5 } = {},
): Tensor {
  checkNorm("batchNormEval", x, { weight, bias, ...running });
  return scope(() => normalise(x, weight, bias, ofRunning(x, running, eps)));
}

/** relu(batchNormEval(x, weight, bias, running)), plus `skip` if given: see instanceNormRelu(). */
export function batchNormEvalRelu(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  running: Running,
  { skip = null, eps = 1e-5 }: { skip?: Tensor | null; eps?: number } = {},
): Tensor {
  checkNorm("batchNormEvalRelu", x, { weight, bias, ...running }, { skip });
  return scope(() => normalise(x, weight, bias, { ...ofRunning(x, running, eps), activated: true, skip }));
}

/** Computes the batch's statistics, and moves the running ones towards them. */
function ofBatch(
  op: string,
  x: Tensor,
  running: Running,
  { eps = 1e-5, momentum = 0.1, moments = null }: Training,
): Normalisation {
  const [batch = 1, channels = 1] = x.shape;
  const values = x.size / channels;
  if (values === 1) {
    throw new Error(
      `${op}: expected more than one value per channel in training, got [${x.shape}]: ` +
        "use a larger batch or patch",
    );
  }
  const statistics = statisticsOf(x, batch, eps, moments);
  if (isRepetition()) return { statistics, together: batch };
  kernel.update(
    { statistics, runningMean: running.mean, runningVariance: running.variance, values, momentum },
    channels,
  );
  return { statistics, together: batch };
}

function ofRunning(x: Tensor, { mean, variance }: Running, eps: number): Normalisation {
  const [batch = 1, channels = 1] = x.shape;
  const statistics = new Tensor(x.device, [channels, 4]);
  kernel.evaluate({ statistics, runningMean: mean, runningVariance: variance, eps }, channels);
  return { statistics, together: batch, constant: true };
}
