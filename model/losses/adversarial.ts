// The losses of a critic and of a generator that it judges: Wasserstein with a gradient penalty (Gulrajani et
// al. 2017, arXiv 1704.00028), and StarGAN's classes. All are scalars on the GPU.

import {
  add,
  channelSum,
  fill,
  leakyReluSlope,
  linear,
  logSoftmax,
  meanSquaredError,
  multiply,
  normaliseRows,
  samples,
  stack,
  tensor,
  type Tensor,
  weightedSum,
} from "../../engine/index.ts";

/** The mean of a tensor of one channel [N,1,...]. */
export function mean(x: Tensor): Tensor {
  return weightedSum([[1 / x.size, channelSum(x)]]);
}

/** The cross-entropy of logits [N,K] and the class of each sample. */
export function classLoss(logits: Tensor, classes: readonly number[]): Tensor {
  const [batch, count] = logits.shape as [number, number];
  const picks = classes.flatMap((own) => Array.from({ length: count }, (_, k) => (k === own ? 1 : 0)));
  const picked = multiply(logSoftmax(logits), tensor(logits.device, [batch, count], picks));
  return weightedSum([[-1 / batch, channelSum(linear(picked, fill(logits.device, [1, count], 1)))]]);
}

/**
 * The mean over samples of (‖g‖ - 1)², of gradients g [N,...]. It is the squared distance of g from its unit
 * vector, whose direction the gradient does not follow.
 */
export function gradientPenalty(g: Tensor): Tensor {
  return weightedSum([[g.size / g.shape[0]!, meanSquaredError(g, normaliseRows(g))]]);
}

/** The mean of |a - b|, both [N,1,...]; at 0 the gradient by a is that of b - a. */
export function meanAbsoluteError(a: Tensor, b: Tensor): Tensor {
  const difference = add(a, scaled(b, -1));
  return mean(leakyReluSlope(difference, difference, -1));
}

/** share · a + (1 - share) · b of each sample [N,...], with a share for each. */
export function blended(a: Tensor, b: Tensor, shares: readonly number[]): Tensor {
  const mixed = shares.map((share, n) => {
    const [one, other] = [samples(a, n, n + 1), samples(b, n, n + 1)];
    return add(scaled(one, share), scaled(other, 1 - share));
  });
  return stack(mixed);
}

function scaled(x: Tensor, factor: number): Tensor {
  return multiply(x, fill(x.device, x.shape, factor));
}
