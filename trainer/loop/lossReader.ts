// Keeps the losses of several steps on the GPU and reads them together. A read waits for all recorded work
// and leaves the GPU idle until the next step: on a fast adapter that can take longer than a small step. On a
// slow adapter every step is read.

import { type Device, free, keep, Tensor } from "../../engine/index.ts";

const MOST_STEPS = 4; // between two reads, for their batches are queued
const MOST_SECONDS = 2; // between two reads, so that the display stays live
const MOST_SCALARS = 64; // per step

/** A step with its scalars, read from the GPU. */
export interface Read<Step> {
  step: Step;
  values: Record<string, number>;
}

/** A number on the GPU: a tensor of one element, or an element of a larger one. */
export interface Scalar {
  buffer: GPUBuffer;
  storage: { offset: number };
}

/** Collects the scalars of steps by name. */
export class LossReader<Step> {
  readonly #device: Device;
  readonly #now: () => number;
  readonly #waiting: { step: Step; names: string[] }[] = [];
  #values: Tensor | null = null; // [MOST_STEPS, MOST_SCALARS]
  #began = 0; // when the first waiting step was noted
  #every = 1; // steps between reads

  /** `now` is in milliseconds from any start; a clock that stands still gives the longest intervals. */
  constructor(device: Device, now: () => number) {
    this.#device = device;
    this.#now = now;
  }

  /** True when it is time to read. */
  get due(): boolean {
    return this.#waiting.length >= this.#every;
  }

  /** Copies a step's scalars on the GPU. Throws for more than 64. */
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

  /** Reads all steps noted since the last read, in order. */
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
