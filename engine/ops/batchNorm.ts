// Batch norm is instance norm whose samples share their statistics; see instanceNorm.ts.

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

/** Averages of the batches seen in training, each [C]; they belong to the program and are no parameters. */
export type Running = { readonly mean: Tensor; readonly variance: Tensor };

interface Training extends InstanceNormOptions {
  /** The part of the running statistics that a batch replaces. */
  momentum?: number;
}

/** Standardises each channel over samples and voxels, and moves the running statistics towards the
 *  batch's by `momentum` (the variance's unbiased form, as in PyTorch). x [N,C,...], all else [C]. */
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

/** relu(batchNorm(x, weight, bias, running)), and `skip` added to that: see instanceNormRelu(). */
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

/** Standardises each channel by the running statistics. x [N,C,...], all else [C]. */
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

/** relu(batchNormEval(x, weight, bias, running)), and `skip` added to that: see instanceNormRelu(). */
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

/** The batch's statistics, towards which the running ones are moved. */
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
