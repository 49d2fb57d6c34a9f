import type { Tensor } from "../autograd/tensor.ts";
import { channelStatistics } from "./channelStatistics.ts";
import { meanSquaredError } from "./meanSquaredError.ts";
import { weightedSum } from "./weightedSum.ts";

/**
 * The distance of two tensors' channel statistics: the mean over samples and channels of the squared
 * difference of means plus that of standard deviations √(variance + eps). a and b [N,C,D,H,W], differentiated
 * by both. Throws unless they have one N and C.
 */
export function statisticsL2(a: Tensor, b: Tensor, eps = 1e-5): Tensor {
  if (`${a.shape.slice(0, 2)}` !== `${b.shape.slice(0, 2)}`) {
    throw new Error(
      `statisticsL2: expected the same samples and channels, got [${a.shape}] and [${b.shape}]`,
    );
  }
  return weightedSum([[2, meanSquaredError(channelStatistics(a, eps), channelStatistics(b, eps))]]);
}
