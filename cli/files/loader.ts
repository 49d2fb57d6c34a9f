// Makes the batches of a run ahead of their use, in threads, and hands them out in order. A batch depends on
// its number alone (data/sampling/patches.ts), so that any number of threads gives the same bits.

import {
  type Batch,
  PatchSampler,
  type SamplerOptions,
  type SamplerState,
} from "../../data/sampling/patches.ts";
import { DataWorker, type KeptCase, shared } from "./dataWorkers.ts";
import { suppliedCase } from "./loadCases.ts";

/** Batches that each thread makes ahead; all of them are in memory. */
export const AHEAD = 2;

export interface LoaderOptions extends SamplerOptions {
  /** The number of threads; 0 makes each batch in the main thread when it is needed. */
  workers: number;
  /** The position to resume from; default: the first batch. */
  state?: SamplerState | undefined;
}

/** A stream of batches. */
export interface Loader {
  /** Batches of an epoch. */
  readonly batchesPerEpoch: number;
  /** The next batch. Throws if a thread has died; a DataError if a case can no longer be read. */
  next(): Promise<Batch>;
  /** The position after the batches handed out, not those made ahead: for resuming. */
  state(): SamplerState;
  /** Ends the threads. */
  close(): Promise<void>;
}

/**
 * Starts making batches of `cases`; those that are not in memory are read by the thread that needs them.
 * Throws a DataError for cases or a state that do not fit.
 */
export async function openLoader(cases: readonly KeptCase[], options: LoaderOptions): Promise<Loader> {
  const { workers, state, ...sampling } = options;
  const sampler = new PatchSampler(
    cases.map((kept) => suppliedCase(kept)),
    sampling,
  );
  if (state) sampler.restore(state);
  const { batchesPerEpoch } = sampler;
  if (workers === 0) {
    const next = () => sampler.next();
    return { batchesPerEpoch, next, state: () => sampler.state(), close: () => Promise.resolve() };
  }
  const threads = Array.from({ length: workers }, () => new DataWorker());
  const close = async () => void (await Promise.all(threads.map((thread) => thread.close())));
  try {
    const common = cases.map((kept) => ("reading" in kept ? kept : shared(kept)));
    await Promise.all(threads.map((thread) => thread.train(common, sampling)));
  } catch (error) {
    await close();
    throw error;
  }
  let { batches: taken } = sampler.state();
  let requested = taken;
  const ahead: Promise<Batch>[] = [];
  let broken: Promise<Batch> | null = null;
  const fill = () => {
    for (; ahead.length < AHEAD * workers; requested++) {
      const batch = threads[requested % workers]!.batch(requested);
      batch.catch(() => undefined); // next() throws the error
      ahead.push(batch);
    }
  };
  fill();
  return {
    batchesPerEpoch,
    async next() {
      const next = broken ?? ahead.shift()!; // a batch that failed is not skipped: later calls fail too
      if (!broken) fill();
      try {
        const batch = await next;
        taken++;
        return batch;
      } catch (error) {
        broken = next;
        throw error;
      }
    },
    state: () => ({ ...sampler.state(), batches: taken }),
    close,
  };
}
