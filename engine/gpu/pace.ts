// How fast the GPU works, measured at every read: no submission should hold it for longer than about half a second, or a
// watchdog may reset it. And how to wait for it.

const SUBMISSION_SECONDS = 0.25; // aimed at; twice that is tolerated
const FIRST_RATE = 2e9; // operations per second, assumed until the first read has measured

export class Pace {
  #rate = FIRST_RATE;
  #work = 0; // submitted since the last read
  #started = 0; // when the first submission since the last read went off

  /** Operations that one submission may hold. */
  get budget(): number {
    return this.#rate * SUBMISSION_SECONDS;
  }

  submitted(work: number): void {
    this.#started ||= performance.now();
    this.#work += work;
  }

  /** All that was submitted is done. */
  done(): void {
    const seconds = Math.max(1e-4, (performance.now() - this.#started) / 1000);
    // Small amounts of work say more about latency than about the rate; compilers and neighbours only lower it.
    if (this.#work > this.budget / 8) this.#rate = Math.max(this.#work / seconds, 0.95 * this.#rate);
    this.#work = this.#started = 0;
  }
}

const LONGEST_MS = 20; // of a nap
const SHARE = 0.02; // a nap's, of the time waited so far

/**
 * Waits for a promise of Dawn's with naps in between. Its Node binding looks whether the GPU is done once in every
 * turn of the event loop, and turns that at once into the next: a whole core, which a software adapter needs.
 * Here a turn ends asleep, the whole thread with it, for 2 % of the time waited so far.
 */
export async function napping<T>(promise: Promise<T>): Promise<T> {
  const never = new Int32Array(new SharedArrayBuffer(4)); // changes, so that what waits for that sleeps
  let settled = false;
  const settle = () => void (settled = true);
  promise.then(settle, settle);
  const started = performance.now();
  while (!settled) {
    Atomics.wait(never, 0, 0, Math.min(LONGEST_MS, SHARE * (performance.now() - started)));
    await new Promise((resolve) => setImmediate(resolve)); // a turn; a timer would be many, and their garbage
  }
  return promise;
}
