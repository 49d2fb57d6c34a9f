// The exponential moving average of parameters: the teacher of Tarvainen & Valpola, "Mean teachers", NeurIPS
// 2017 (arXiv 1703.01780).

import { shader } from "../gpu/shader.ts";
import type { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("movingAverage");

/** Averages of tensors, each of the shape of its source. */
export class MovingAverage {
  readonly #pairs: readonly (readonly [average: Tensor, source: Tensor])[];

  /** Throws unless each average has its source's shape. */
  constructor(pairs: readonly (readonly [average: Tensor, source: Tensor])[]) {
    for (const [average, source] of pairs) {
      if (`${average.shape}` === `${source.shape}`) continue;
      throw new Error(`MovingAverage: expected [${source.shape}] as its source, got [${average.shape}]`);
    }
    this.#pairs = pairs;
  }

  /** average ← momentum · average + (1 - momentum) · source, for all pairs. */
  update(momentum: number): void {
    if (!(momentum >= 0 && momentum <= 1))
      throw new Error(`MovingAverage: expected a momentum from 0 to 1, got ${momentum}`);
    for (const [average, weight] of this.#pairs) kernel.update({ weight, average, momentum }, average.size);
  }
}
