import { type Tensor } from "../autograd/tensor.ts";
import { channelStatistics } from "./channelStatistics.ts";
import { meanSquaredError } from "./meanSquaredError.ts";
import { weightedSum } from "./weightedSum.ts";

/**
 * How far two tensors' channel statistics differ: the mean over samples and channels of the squared difference of
 * means plus that of standard deviations √(variance + eps). a and b [N,C,...] of one N and C, differentiated by both.
 */
export function statisticsL2(a: Tensor, b: Tensor, eps = 1e-5): Tensor {
  if (`${a.shape.slice(0, 2)}` !== `${b.shape.slice(0, 2)}`) {
    throw new Error(
      `statisticsL2: expected the same samples and channels, got [${a.shape}] and [${b.shape}]`,
    );
  }
  return weightedSum([[2, meanSquaredError(channelStatistics(a, eps), channelStatistics(b, eps))]]);
}
