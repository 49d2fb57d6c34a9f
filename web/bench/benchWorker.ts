// The bench of bench/kernels.ts in a worker of the page: the same cases, checks and clock.

import { CeilingsBench } from "../../bench/ceilings.ts";
import { type KernelSize, kernelCases, noCase } from "../../bench/kernels/cases.ts";
import { type Measurement, measureCase } from "../../bench/kernels/measure.ts";
import { Stopwatch } from "../../bench/stopwatch.ts";
import { DataError } from "../../data/errors.ts";
import { device, gpuInfo } from "../worker/gpu.ts";
import { offer } from "../worker/offer.ts";
import type { Gpu } from "../worker/protocol.ts";

/** A network's shapes, and how often each is timed. */
export interface BenchSize extends KernelSize {
  samples: number;
}

/** What the page is told while it runs. */
export type BenchNews = { type: "doing"; what: string } | { type: "row"; row: Measurement };

let stopped = false;

const bench = {
  gpu: (): Promise<Gpu> => gpuInfo(),

  /** Ends what is running after the row that is being measured. */
  stop(): void {
    stopped = true;
  },

  /**
   * Measures all cases whose name holds `filter`, each row told when it is there; returns the clock's name, and whether
   * it came to its end. Throws a DataError where there is no such case.
   */
  async run(
    { samples, ...size }: BenchSize,
    filter: string,
    tell: (news: BenchNews) => void | Promise<void>,
  ): Promise<{ clock: string; stopped: boolean }> {
    stopped = false;
    const cases = kernelCases(size, filter);
    if (!cases.length) throw new DataError(noCase(size, filter));
    const on = await device();
    const stopwatch = new Stopwatch(on);
    const { clock } = stopwatch;
    await tell({ type: "doing", what: "What this GPU does at most" });
    const elements = size.filters * size.patch.reduce((a, b) => a * b, 1);
    const ceilings = await CeilingsBench.open(on, stopwatch, elements);
    try {
      for (const [i, subject] of cases.entries()) {
        await tell({ type: "doing", what: `${subject.op} ${subject.detail}, ${i + 1} of ${cases.length}` });
        for await (const row of measureCase({ device: on, stopwatch, ceilings, samples }, subject)) {
          await tell({ type: "row", row });
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
