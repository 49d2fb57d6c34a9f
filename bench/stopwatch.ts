// How long the GPU works on something: by timestamps around every dispatch where the adapter has them, else by
// the clock on the wall. Dawn's binding polls while a result is awaited, which takes a core from a software
// adapter: with timestamps the stopwatch sleeps until the work must be done, since oversleeping costs nothing.

import { type Device, Profile } from "../engine/index.ts";
import { quantile } from "../model/scoring/statistics.ts";

export type Clock = "timestamps" | "wall";

/** Work to time. */
export interface Work {
  /** Records it all; calls `begin` where the timed part starts, which goes on to the end. */
  record: (begin: () => void) => void;
  /** Records what comes before the timed part, or null: with a wall clock its time is subtracted. */
  before: (() => void) | null;
}

const SLEEP = 1.25; // times the first call's time: who wakes too early takes a core from what is timed
const SAMPLE_MS = 5; // short work is repeated until a sample lasts so long
const AGREE = 1.03; // the two shortest samples are to be this near, or it goes on: what else runs lengthens some of them
const MOST_SAMPLES = 3; // times as many as wanted
const LONG_MS = 250; // of a call: as many as wanted will do, since they time their own share of what else runs
const MOST_CALLS = 500; // browsers and Dawn round timestamps to 65 µs: the mean of many is not rounded

export class Stopwatch {
  readonly clock: Clock;
  readonly #device: Device;
  readonly #profile: Profile | null;

  /** With timestamps unless the adapter lacks them, or `clock` says otherwise. */
  constructor(device: Device, clock: Clock = "timestamps") {
    this.#device = device;
    const stamped = clock === "timestamps" && device.gpu.features.has("timestamp-query");
    this.#profile = stamped ? new Profile(device) : null;
    this.clock = stamped ? "timestamps" : "wall";
  }

  /**
   * Milliseconds of one call, the shortest first: in so many samples, or more until the shortest is no accident. The
   * first call, which compiles, is not timed.
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

  /** Milliseconds of so many calls, and until they were known; `rest` of them asleep. */
  async #sample(work: Work, calls: number, rest: number): Promise<{ ms: number; wall: number }> {
    if (!this.#profile) return this.#sampleWall(work, calls);
    const device = this.#device;
    const started = performance.now();
    for (let i = 0; i < calls; i++) {
      work.record(() => (device.profile = this.#profile));
      device.flush(); // ends the timed pass: what comes before the next one's `begin` must not join it
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
