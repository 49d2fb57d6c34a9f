// Losses of several steps, kept on the GPU until they are read together: a read waits for all that was recorded, and
// leaves the GPU without work until the next step is. On a slow adapter that is nothing, and every step is
// read; on a fast one it is most of a small step.

import { type Device, free, keep, Tensor } from "../../engine/index.ts";

const MOST_STEPS = 4; // between two reads: so many steps, with their batches, may be queued
const MOST_SECONDS = 2; // of work between two reads, so that the display stays live
const MOST_SCALARS = 64; // of a step

/** A step whose losses are known, with all scalars noted of it. */
export interface Read<Step> {
  step: Step;
  values: Record<string, number>;
}

/** A number on the GPU: a tensor of one element, or an element of a larger one. */
export interface Scalar {
  buffer: GPUBuffer;
  storage: { offset: number };
}

/** Collects each step's scalars by name. */
export class LossReader<Step> {
  readonly #device: Device;
  readonly #now: () => number;
  readonly #waiting: { step: Step; names: string[] }[] = [];
  #values: Tensor | null = null; // [MOST_STEPS, MOST_SCALARS]
  #began = 0; // when the first of those waiting was noted
  #every = 1; // steps from read to read

  /** `now` in milliseconds from any start; a clock that stands still makes every interval the longest. */
  constructor(device: Device, now: () => number) {
    this.#device = device;
    this.#now = now;
  }

  /** True when it is time to read. */
  get due(): boolean {
    return this.#waiting.length >= this.#every;
  }

  /** Copies the scalars of a step, in the order in which they are recorded. Throws where they are more than 64. */
  note(step: Step, scalars: Readonly<Record<string, Scalar>>): void {
    const entries = Object.entries(scalars);
    if (entries.length > MOST_SCALARS)
      throw new Error(
        `LossReader: expected at most ${MOST_SCALARS} scalars of a step, got ${entries.length}`,
      );
    this.#values ??= keep(new Tensor(this.#device, [MOST_STEPS, MOST_SCALARS]));
    if (!this.#waiting.length) this.#began = this.#now();
    const row = this.#waiting.length * MOST_SCALARS;
    for (const [i, [, { buffer, storage }]] of entries.entries()) {
      this.#device.copy(buffer, storage.offset, this.#values.buffer, 4 * (row + i), 4);
    }
    this.#waiting.push({ step, names: entries.map(([name]) => name) });
  }

  /** All steps noted since the last time, in order. */
  async read(): Promise<Read<Step>[]> {
    const noted = this.#waiting.splice(0);
    if (!this.#values || !noted.length) return [];
    const values = await this.#values.read();
    const seconds = (this.#now() - this.#began) / 1000 / noted.length;
    this.#every = Math.max(1, Math.min(MOST_STEPS, Math.floor(MOST_SECONDS / seconds)));
    return noted.map(({ step, names }, row) => ({
      step,
      values: Object.fromEntries(names.map((name, i) => [name, values[row * MOST_SCALARS + i]!])),
    }));
  }

  free(): void {
    if (this.#values) free(this.#values);
    this.#values = null;
  }
}
