// The cases of each batch of a run: a pure function of the seed and the batch's number. A batch holds only
// cases that have all contrasts, or only cases that lack some, because a teacher can be run on the former
// alone.

import { append } from "../../engine/values.ts";
import { KINDS, ORDER, streamAt } from "./streams.ts";

export interface OrderOptions {
  batch: number;
  seed: number;
  /** As of Sampling. */
  lastBatch: "full" | "short";
}

/** The place of a batch among the batches of its group. */
interface Place {
  group: number;
  rank: number;
}

export class BatchOrder {
  /** The number of batches until every case has been used once. */
  readonly batchesPerEpoch: number;
  readonly #groups: readonly (readonly number[])[];
  readonly #cases: number;
  readonly #options: OrderOptions;

  /** `lacking[i]` tells whether case i lacks a contrast. */
  constructor(lacking: readonly boolean[], options: OrderOptions) {
    const all = [...lacking.keys()];
    const groups = [all.filter((i) => !lacking[i]), all.filter((i) => lacking[i])];
    this.#groups = groups.filter(({ length }) => length > 0);
    this.#cases = lacking.length;
    this.#options = options;
    const { batch, lastBatch } = options;
    this.batchesPerEpoch =
      lastBatch === "full"
        ? Math.ceil(lacking.length / batch)
        : this.#groups.reduce((sum, { length }) => sum + Math.ceil(length / batch), 0);
  }

  /** Returns the indices of the cases in batch `number`, counted from 0. */
  casesOf(number: number): number[] {
    const { batch, lastBatch } = this.#options;
    const { group, rank } = this.#placeOf(number);
    const count = this.#groups[group]!.length;
    const perEpoch = Math.ceil(count / batch);
    const [epoch, position] =
      lastBatch === "short"
        ? [Math.floor(rank / perEpoch), batch * (rank % perEpoch)]
        : [Math.floor((rank * batch) / count), (rank * batch) % count];
    const size = lastBatch === "short" ? Math.min(batch, count - position) : batch;
    const indices: number[] = [];
    for (let e = epoch; indices.length < size; e++) {
      const start = e === epoch ? position : 0;
      append(indices, this.#order(group, e).slice(start, start + size - indices.length));
    }
    return indices;
  }

  /** Returns the cases of a group in the order in which its batches use them for the `pass`-th time. */
  #order(group: number, pass: number): number[] {
    const alone = this.#groups.length === 1;
    const stream = streamAt(this.#options.seed, ORDER, pass, ...(alone ? [] : [group]));
    return stream.shuffle([...this.#groups[group]!]);
  }

  #placeOf(number: number): Place {
    if (this.#groups.length === 1) return { group: 0, rank: number };
    const epoch = Math.floor(number / this.batchesPerEpoch);
    const [before, after] = [this.#lackingBefore(epoch), this.#lackingBefore(epoch + 1)];
    const kinds = Array.from({ length: this.batchesPerEpoch }, (_, i) => (i < after - before ? 1 : 0));
    const order = streamAt(this.#options.seed, KINDS, epoch).shuffle(kinds);
    const at = number % this.batchesPerEpoch;
    const group = order[at]!;
    const earlier = order.slice(0, at).filter((kind) => kind === group).length;
    const done = group === 1 ? before : epoch * this.batchesPerEpoch - before;
    return { group, rank: done + earlier };
  }

  /**
   * Returns the number of batches of lacking cases before an epoch. Where batches are full, it keeps to the
   * share of these cases, so that all cases are used equally often.
   */
  #lackingBefore(epoch: number): number {
    const { batch, lastBatch } = this.#options;
    const lacking = this.#groups[1]!.length;
    if (lastBatch === "short") return epoch * Math.ceil(lacking / batch);
    return Math.floor((2 * epoch * this.batchesPerEpoch * lacking + this.#cases) / (2 * this.#cases));
  }
}
