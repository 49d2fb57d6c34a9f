// How fast the GPU works, measured at every read. No submission should hold it for longer than about half a
// second, or a watchdog may reset it; and who waits for it may sleep for most of the time it will need.

const SUBMISSION_SECONDS = 0.25; // aimed at; twice that is tolerated
const FASTER = 1.5; // times the rate seen, where a sleep was too long to see it; a sleep too short costs little
const FIRST_RATE = 2e9; // operations per second, assumed until the first read has measured

export class Pace {
  #rate = FIRST_RATE;
  #work = 0; // submitted since the last read
  #started = 0; // when the first submission since the last read went off
  #woken = 0; // when the last sleep ended, if there was one

  /** Operations that one submission may hold. */
  get budget(): number {
    return this.#rate * SUBMISSION_SECONDS;
  }

  submitted(work: number): void {
    this.#started ||= performance.now();
    this.#work += work;
  }

  /** Sleeps for nine tenths of what should remain by the rate so far. */
  async sleep(): Promise<void> {
    this.#woken = 0;
    const elapsed = performance.now() - this.#started;
    const left = 0.9 * 1000 * (this.#work / this.#rate) - elapsed;
    if (left < 4) return;
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, 60_000)));
    this.#woken = performance.now();
  }

  /** All that was submitted is done. */
  done(): void {
    const now = performance.now();
    const seconds = Math.max(1e-4, (now - this.#started) / 1000);
    const overslept = this.#woken > 0 && now - this.#woken < 20 * seconds; // done before: it is faster than seen
    const rate = (this.#work / seconds) * (overslept ? FASTER : 1);
    // Small amounts of work say more about latency than about the rate; polling and neighbours only lower it.
    if (this.#work > this.budget / 8) this.#rate = Math.max(rate, 0.95 * this.#rate);
    this.#work = this.#started = 0;
  }
}
