// Numbers that a step observes and nothing minimises. Their sums over samples are read with the losses.

import { channelSum, free, keep, type Tensor } from "../../engine/index.ts";
import type { Scalar } from "./lossReader.ts";
import { OBSERVED } from "./position.ts";

export class Observations {
  /** The number of samples behind each sum. */
  readonly counts: Record<string, number> = {};
  readonly #taken: { names: readonly string[]; values: Tensor }[] = [];
  readonly #sums: Tensor[] = [];

  /** Takes values [N, names], or one number, as the step has them, until free(). */
  take(names: readonly string[], values: Tensor): void {
    this.#taken.push({ names, values: keep(values) });
    for (const name of names) this.counts[name] = values.shape[0] ?? 1;
  }

  /** Sums the values over samples, after the step; each sum by its name with the prefix OBSERVED. */
  sums(): Record<string, Scalar> {
    const scalars: Record<string, Scalar> = {};
    for (const { names, values } of this.#taken) {
      const { buffer, storage } = this.#summed(values);
      for (const [i, name] of names.entries())
        scalars[OBSERVED + name] = { buffer, storage: { offset: storage.offset + 4 * i } };
    }
    return scalars;
  }

  free(): void {
    for (const { values } of this.#taken) free(values);
    this.#sums.forEach(free);
  }

  #summed(values: Tensor): Tensor {
    if (!values.shape.length) return values;
    const sum = keep(channelSum(values));
    this.#sums.push(sum);
    return sum;
  }
}

/** The finite means over samples of what a step observed, of the numbers that were read; {} without one. */
export function meansRead(
  values: Readonly<Record<string, number>>,
  counts: Readonly<Record<string, number>>,
): { observed?: Record<string, number> } {
  const means = Object.entries(counts).map(([name, n]) => [name, values[OBSERVED + name]! / n] as const);
  const finite = means.filter(([, mean]) => Number.isFinite(mean));
  return finite.length ? { observed: Object.fromEntries(finite) } : {};
}
