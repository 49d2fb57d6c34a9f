// Curves of trainings of any length: all points of a short one; of a long one every second, every fourth, ...

import type { EpochRecord } from "./records.ts";

/** Items in the order of their arrival, at most `most` of them and the latest, evenly spaced. */
export class Thinned<Item> {
  readonly #most: number;
  #kept: Item[] = [];
  #every = 1;
  #count = 0;
  #latest: Item[] = [];

  constructor(most = 2000) {
    this.#most = most;
  }

  add(item: Item): void {
    if (this.#count++ % this.#every === 0) this.#kept.push(item);
    this.#latest = [item];
    if (this.#kept.length <= this.#most) return;
    this.#kept = this.#kept.filter((_, i) => i % 2 === 0);
    this.#every *= 2;
  }

  get items(): Item[] {
    return this.#kept.at(-1) === this.#latest[0] ? [...this.#kept] : [...this.#kept, ...this.#latest];
  }
}

/** A list, thinned. */
export function thinned<Item>(items: Iterable<Item>): Item[] {
  const kept = new Thinned<Item>();
  for (const item of items) kept.add(item);
  return kept.items;
}

/** Epochs for charts, in a bounded memory; those with a validation are thinned apart from the others. */
export class EpochHistory {
  readonly #plain = new Thinned<EpochRecord>();
  readonly #validated = new Thinned<EpochRecord>();

  add(record: EpochRecord): void {
    (record.validation ? this.#validated : this.#plain).add(record);
  }

  get records(): EpochRecord[] {
    return [...this.#plain.items, ...this.#validated.items].sort((a, b) => a.epoch - b.epoch);
  }
}
