// Times the GPU's work: by timestamps around every dispatch, or by wall clock on adapters without them.
// Dawn's binding polls while a result is awaited, which takes a core from a software adapter. With timestamps
// the stopwatch therefore sleeps until the work should be done: sleeping too long changes no timestamp.

import { type Device, Profile } from "../engine/index.ts";
import { quantile } from "../model/scoring/statistics.ts";

export type Clock = "timestamps" | "wall";

/** Work to time. */
export interface Work {
  /** Records everything, and calls `begin` where the timed part starts. That part lasts to the end. */
  record: (begin: () => void) => void;
  /** Records the part before `begin`, whose time a wall clock subtracts; null if there is no such part. */
  before: (() => void) | null;
}

const SLEEP = 1.25; // times the first call's time: waking too early takes a core from the timed work
const SAMPLE_MS = 5; // a sample repeats short work until it lasts this long
const AGREE = 1.03; // sampling continues until the two shortest are this near: other processes lengthen some
const MOST_SAMPLES = 3; // times the number of samples asked for
const LONG_MS = 250; // a call this long needs no further samples: other processes slow all of them alike
const MOST_CALLS = 500; // browsers and Dawn round timestamps to 65 µs, but not the mean of many

export class Stopwatch {
  readonly clock: Clock;
  readonly #device: Device;
  readonly #profile: Profile | null;

  /** Uses timestamps unless the adapter lacks them or `clock` is "wall". */
  constructor(device: Device, clock: Clock = "timestamps") {
    this.#device = device;
    const stamped = clock === "timestamps" && device.gpu.features.has("timestamp-query");
    this.#profile = stamped ? new Profile(device) : null;
    this.clock = stamped ? "timestamps" : "wall";
  }

  /**
   * Returns milliseconds of one call, sorted: `samples` of them, or up to three times as many until the two
   * shortest agree. The first call, which compiles, is not timed.
   */
  async time(work: Work, samples: number): Promise<number[]> {
    await this.#sample(work, 1, 0);
    const first = await this.#sample(work, 1, 0);
    const calls = Math.max(1, Math.min(MOST_CALLS, Math.ceil(SAMPLE_MS / Math.max(first.ms, 1e-3))));
    const times: number[] = [];
    const settled = () => samples === 1 || times[1]! <= AGREE * times[0]!;
    const most = first.ms < LONG_MS ? MOST_SAMPLES * samples : samples;
    while (times.length < samples || (!settled() && times.length < most)) {
      times.push((await this.#sample(work, calls, SLEEP * first.wall * calls)).ms / calls);
      times.sort((a, b) => a - b);
    }
    return times;
  }

  /**
   * Returns the milliseconds that the calls took, and those until that was known, asleep for `rest` of them.
   */
  async #sample(work: Work, calls: number, rest: number): Promise<{ ms: number; wall: number }> {
    if (!this.#profile) return this.#sampleWall(work, calls);
    const device = this.#device;
    const started = performance.now();
    for (let i = 0; i < calls; i++) {
      work.record(() => (device.profile = this.#profile));
      device.flush(); // ends the timed pass, before work that comes before the next `begin` joins it
      device.profile = null;
    }
    if (rest > 4) await new Promise((resolve) => setTimeout(resolve, rest));
    const rows = await this.#profile.rows();
    device.check();
    return {
      ms: rows.reduce((sum, { milliseconds }) => sum + milliseconds, 0),
      wall: performance.now() - started,
    };
  }

  async #sampleWall({ record, before }: Work, calls: number): Promise<{ ms: number; wall: number }> {
    const all = await this.#wall(() => record(() => {}), calls);
    const untimed = before ? await this.#wall(before, calls) : 0;
    return { ms: Math.max(0, all - untimed), wall: all };
  }

  async #wall(record: () => void, calls: number): Promise<number> {
    await this.#device.gpu.queue.onSubmittedWorkDone();
    const started = performance.now();
    for (let i = 0; i < calls; i++) record();
    this.#device.flush();
    await this.#device.gpu.queue.onSubmittedWorkDone();
    this.#device.check();
    return performance.now() - started;
  }
}

/** The median of sorted values. */
export function median(sorted: readonly number[]): number {
  return quantile(sorted, 0.5);
}
