// How fast the GPU works, measured at every read, and how to wait for it. No submission should take longer
// than about half a second, or else a watchdog may reset the GPU.

const SUBMISSION_SECONDS = 0.25; // the aim; twice that is tolerable
const FIRST_RATE = 2e9; // operations per second, assumed until the first read

export class Pace {
  #rate = FIRST_RATE;
  #work = 0; // operations submitted since the last read
  #started = 0; // time of the first submission since the last read

  /** Operations that one submission may hold. */
  get budget(): number {
    return this.#rate * SUBMISSION_SECONDS;
  }

  /** Notes that so many operations were submitted. */
  submitted(work: number): void {
    this.#started ||= performance.now();
    this.#work += work;
  }

  /** Notes that all submissions are done: the rate is measured anew. */
  done(): void {
    const seconds = Math.max(1e-4, (performance.now() - this.#started) / 1000);
    // A little work measures latency rather than the rate. Compiling and other programs can only lower the
    // rate.
    if (this.#work > this.budget / 8) this.#rate = Math.max(this.#work / seconds, 0.95 * this.#rate);
    this.#work = this.#started = 0;
  }
}

const LONGEST_MS = 20; // the longest nap
const SHARE = 0.02; // a nap's share of the time waited so far

/**
 * Waits for a promise of Dawn's, with naps. Its Node binding checks whether the GPU is done in every turn of
 * the event loop, and starts the next turn at once: that takes a whole core, which a software adapter needs.
 * Here the thread sleeps after each turn, for 2 % of the time waited so far.
 */
export async function napping<T>(promise: Promise<T>): Promise<T> {
  const never = new Int32Array(new SharedArrayBuffer(4)); // never changes: waiting for a change is sleeping
  let settled = false;
  const settle = () => void (settled = true);
  promise.then(settle, settle);
  const started = performance.now();
  while (!settled) {
    Atomics.wait(never, 0, 0, Math.min(LONGEST_MS, SHARE * (performance.now() - started)));
    await new Promise((resolve) => setImmediate(resolve)); // one turn; a timer takes many
  }
  return promise;
}
