// Times the work that an engine submits to its device's queue: by the timestamps of an empty pass before it
// and one after it, since a queue runs in order. All engines are timed in this way.

import type { Prepared } from "./engine.ts";

const SAMPLE_MS = 10; // a sample repeats short work until it lasts this long
const MOST_CALLS = 50;
const LONG_MS = 10_000; // the time for all samples; at least three are taken

const STILL = new Int32Array(new SharedArrayBuffer(4)); // never changes: a wait lasts until its timeout

/**
 * Returns milliseconds of a run, sorted: `samples` of them, or fewer of long runs. The first two runs warm
 * up.
 */
export async function timeRuns(device: GPUDevice, task: Prepared, samples: number): Promise<number[]> {
  const stamps = new Stamps(device);
  try {
    await stamps.time(task, 0); // compiles, so its duration would make a far too long rest
    const first = await stamps.time(task, 0);
    const calls = Math.max(1, Math.min(MOST_CALLS, Math.ceil(SAMPLE_MS / Math.max(first.ms, 0.1))));
    const times: number[] = [];
    for (let i = 0; i < Math.max(3, Math.min(samples, LONG_MS / first.ms)); i++) {
      let sum = 0;
      for (let call = 0; call < calls; call++) sum += (await stamps.time(task, 1.25 * first.wall)).ms;
      times.push(sum / calls);
    }
    return times.sort((a, b) => a - b);
  } finally {
    stamps.destroy();
  }
}

class Stamps {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet | null;
  readonly #resolved: GPUBuffer;

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#queries = device.features.has("timestamp-query")
      ? device.createQuerySet({ type: "timestamp", count: 4 })
      : null;
    this.#resolved = device.createBuffer({
      size: 32,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
  }

  /**
   * Times one run: milliseconds from its `begin` to its end, and until that was known. Dawn's binding polls
   * while anything is awaited, which takes a core from a software adapter. So the thread sleeps for `rest`
   * milliseconds; sleeping too long changes no timestamp.
   */
  async time(task: Prepared, rest: number): Promise<{ ms: number; wall: number }> {
    const { queue } = this.#device;
    await queue.onSubmittedWorkDone();
    const started = performance.now();
    let begun = started;
    const results = await task.run(() => {
      begun = performance.now();
      this.#stamp(0);
    });
    this.#stamp(2);
    if (this.#queries) Atomics.wait(STILL, 0, 0, rest);
    await queue.onSubmittedWorkDone();
    const ended = performance.now();
    const ms = this.#queries ? await this.#between() : ended - begun;
    await results.free();
    return { ms, wall: ended - started };
  }

  #stamp(index: number): void {
    if (!this.#queries) return;
    const encoder = this.#device.createCommandEncoder();
    const timestampWrites = {
      querySet: this.#queries,
      beginningOfPassWriteIndex: index,
      endOfPassWriteIndex: index + 1,
    };
    encoder.beginComputePass({ timestampWrites }).end();
    this.#device.queue.submit([encoder.finish()]);
  }

  async #between(): Promise<number> {
    const staging = this.#device.createBuffer({
      size: 32,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    const encoder = this.#device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries!, 0, 4, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, 32);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const [, begin, end] = new BigUint64Array(staging.getMappedRange());
    const ms = Number(end! - begin!) / 1e6;
    staging.destroy();
    return ms;
  }

  destroy(): void {
    this.#queries?.destroy();
    this.#resolved.destroy();
  }
}
