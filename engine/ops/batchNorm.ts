// Batch norm is instance norm whose samples share their statistics; see instanceNorm.ts.

import { shader } from "../shader.ts";
import { scope, Tensor } from "../tensor.ts";
import { checkNorm, normalise, statisticsOf } from "./instanceNorm.ts";

const kernel = await shader("batchNorm");

/** Averages of the batches seen in training, each [C]; they belong to the program and are no parameters. */
export type Running = { readonly mean: Tensor; readonly variance: Tensor };

/** Standardises each channel over samples and voxels, and moves the running statistics towards the
 *  batch's by `momentum` (the variance's unbiased form, as in PyTorch). x [N,C,...], all else [C]. */
export function batchNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  running: Running,
  { eps = 1e-5, momentum = 0.1 } = {},
): Tensor {
  checkNorm("batchNorm", x, { weight, bias, ...running });
  const [batch = 1, channels = 1] = x.shape;
  const values = x.size / channels;
  if (values === 1) {
    throw new Error(
      `batchNorm: expected more than one value per channel in training, got [${x.shape}]: ` +
        "use a larger batch or patch",
    );
  }
  return scope(() => {
    const statistics = statisticsOf(x, batch, eps);
    kernel.update(
      { statistics, runningMean: running.mean, runningVariance: running.variance, values, momentum },
      channels,
    );
    return normalise(x, weight, bias, { statistics, together: batch, constant: false });
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
  const [batch = 1, channels = 1] = x.shape;
  return scope(() => {
    const statistics = new Tensor(x.device, [channels, 4]);
    const { mean: runningMean, variance: runningVariance } = running;
    kernel.evaluate({ statistics, runningMean, runningVariance, eps }, channels);
    return normalise(x, weight, bias, { statistics, together: batch, constant: true });
  });
}
