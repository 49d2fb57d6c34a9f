// The batches of a run's steps, one from each stream, and the state from which a resumed run draws the same.

import type { Batches, BatchSource, TrainBatch } from "./options.ts";

export class Draws {
  readonly #sources: Readonly<Record<string, BatchSource>>;
  #peeked: Batches | null = null;
  /** The streams' states before batches that were drawn and not taken. */
  #before: Record<string, unknown> | null = null;

  constructor(sources: Readonly<Record<string, BatchSource>>) {
    this.#sources = sources;
  }

  /** Returns the batches that next() will return. */
  async peek(): Promise<Batches> {
    this.#before ??= this.#states();
    return (this.#peeked ??= await this.#draw());
  }

  /** Returns the batches of the next step. If a stream fails, state() is still the one before its batch. */
  async next(): Promise<Batches> {
    const batches = await this.peek();
    this.#peeked = null;
    this.#before = null;
    return batches;
  }

  /** The streams' states after the batches that next() returned. */
  state(): Record<string, unknown> {
    return this.#before ?? this.#states();
  }

  async #draw(): Promise<Batches> {
    const drawn: Record<string, TrainBatch> = {};
    for (const [name, source] of Object.entries(this.#sources)) drawn[name] = await source.next();
    return drawn;
  }

  #states(): Record<string, unknown> {
    const sources = Object.entries(this.#sources);
    return Object.fromEntries(sources.map(([name, source]) => [name, source.state?.()]));
  }
}
