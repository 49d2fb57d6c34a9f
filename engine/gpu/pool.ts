// The buffers that wait to be used again, by their sizes. The one that was first to come here is always the
// first to go: so a step that begins with the same buffers in use as the one before gets the same ones in the
// same places, and its bind groups exist already (bindings.ts). With the last one first, the order in which
// a step gives its buffers back decides what the next one gets, and few steps are alike.

export class Pool {
  readonly #free = new Map<number, GPUBuffer[]>();
  readonly #ages = new WeakMap<GPUBuffer, number>();
  #count = 0;

  /** Returns a buffer of exactly so many bytes; undefined where none is left. */
  take(size: number): GPUBuffer | undefined {
    return this.#free.get(size)?.pop();
  }

  /** Takes a buffer back. */
  give(buffer: GPUBuffer): void {
    const free = this.#free.get(buffer.size) ?? [];
    this.#free.set(buffer.size, free);
    free.splice(this.#place(free, this.#age(buffer)), 0, buffer);
  }

  /** Destroys all buffers that wait. */
  destroy(): void {
    for (const free of this.#free.values()) for (const buffer of free) buffer.destroy();
    this.#free.clear();
  }

  /** The place in a list, the oldest last, of a buffer of this age: by bisection. */
  #place(free: readonly GPUBuffer[], age: number): number {
    let [low, high] = [0, free.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#age(free[middle]!) > age) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** A buffer's number in the order in which buffers first came here. */
  #age(buffer: GPUBuffer): number {
    let age = this.#ages.get(buffer);
    if (age === undefined) this.#ages.set(buffer, (age = this.#count++));
    return age;
  }
}
