// The benchmark of bench/kernels.ts in a worker of the page: the same cases, checks and clock.

import { CeilingsBench } from "../../bench/ceilings.ts";
import { type KernelSize, kernelCases, noCase } from "../../bench/kernels/cases.ts";
import { type Measurement, measureCase } from "../../bench/kernels/measure.ts";
import { Stopwatch } from "../../bench/stopwatch.ts";
import { DataError } from "../../data/errors.ts";
import { device, gpuInfo } from "../worker/gpu.ts";
import { offer } from "../worker/offer.ts";
import type { Gpu } from "../worker/protocol.ts";

/** A network's shapes, and the number of timings of each. */
export interface BenchSize extends KernelSize {
  samples: number;
}

/** News for the page while the benchmark runs. */
export type BenchNews = { type: "doing"; what: string } | { type: "row"; row: Measurement };

let stopped = false;

const bench = {
  gpu: (): Promise<Gpu> => gpuInfo(),

  /** Ends the run after the row that is being measured. */
  stop(): void {
    stopped = true;
  },

  /**
   * Measures all cases whose name contains `filter`, and reports each row when it is done. Returns the
   * clock's name, and `stopped`. Throws a DataError if no case has such a name.
   */
  async run(
    { samples, ...size }: BenchSize,
    filter: string,
    report: (news: BenchNews) => void | Promise<void>,
  ): Promise<{ clock: string; stopped: boolean }> {
    stopped = false;
    const cases = kernelCases(size, filter);
    if (!cases.length) throw new DataError(noCase(size, filter));
    const on = await device();
    const stopwatch = new Stopwatch(on);
    const { clock } = stopwatch;
    await report({ type: "doing", what: "Measuring this GPU's peak" });
    const elements = size.filters * size.patch.reduce((a, b) => a * b, 1);
    const ceilings = await CeilingsBench.open(on, stopwatch, elements);
    try {
      for (const [i, subject] of cases.entries()) {
        await report({ type: "doing", what: `${subject.op} ${subject.detail}, ${i + 1} of ${cases.length}` });
        for await (const row of measureCase({ device: on, stopwatch, ceilings, samples }, subject)) {
          await report({ type: "row", row });
          if (stopped) return { clock, stopped };
        }
      }
    } finally {
      ceilings.free();
    }
    return { clock, stopped };
  },
};

export type Bench = typeof bench;

offer(bench);
