// The batches of a run, made ahead of their use in threads of their own, and handed out in order. A batch depends on
// its number alone (data/sampling/patches.ts), so that any number of threads gives the same bits.

import { type Batch, batchesTaken, PatchSampler, type SamplerOptions } from "../../data/sampling/patches.ts";
import type { SamplerState } from "../../data/sampling/patches.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import { DataWorker, shared } from "./dataWorkers.ts";

/** How many batches a thread makes ahead: memory for as many is taken. */
const AHEAD = 2;

export interface LoaderOptions extends SamplerOptions {
  /** Threads; 0 makes batches in the main one, when they are asked for. */
  workers: number;
  /** Where to go on; from the first batch unless given. */
  state?: SamplerState | undefined;
}

/** A stream of batches. */
export interface Loader {
  /** Batches until every case has been seen once. */
  readonly batchesPerEpoch: number;
  /** The next batch. Throws when a thread has died. */
  next(): Promise<Batch>;
  /** What was handed out, not what was made ahead: a loader that is given it goes on with the next. */
  state(): SamplerState;
  /** Ends the threads. */
  close(): Promise<void>;
}

/** Begins to make batches of `cases`. Throws a DataError for cases or a state that do not fit. */
export async function openLoader(cases: readonly Case[], options: LoaderOptions): Promise<Loader> {
  const { workers, state, ...sampling } = options;
  const sampler = new PatchSampler(cases, sampling);
  if (state) sampler.restore(state);
  const { batchesPerEpoch } = sampler;
  if (workers === 0) {
    const next = () => Promise.resolve(sampler.next());
    return { batchesPerEpoch, next, state: () => sampler.state(), close: () => Promise.resolve() };
  }
  const threads = Array.from({ length: workers }, () => new DataWorker());
  const close = async () => void (await Promise.all(threads.map((thread) => thread.close())));
  try {
    const common = cases.map(shared);
    await Promise.all(threads.map((thread) => thread.train(common, sampling)));
  } catch (error) {
    await close();
    throw error;
  }
  let taken = batchesTaken(sampler.state(), cases.length);
  let asked = taken;
  const ahead: Promise<Batch>[] = [];
  let broken: Promise<Batch> | null = null;
  const fill = () => {
    for (; ahead.length < AHEAD * workers; asked++) {
      const batch = threads[asked % workers]!.batch(asked);
      batch.catch(() => undefined); // it is told when the batch is taken
      ahead.push(batch);
    }
  };
  fill();
  return {
    batchesPerEpoch,
    async next() {
      const next = broken ?? ahead.shift()!; // a batch that failed is not left out: all after it fail, too
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
    state: () => ({ batches: taken, cases: cases.length }),
    close,
  };
}
