// The bench of bench/kernels.ts in a worker of the page: the same cases, checks and clock.

import { expose } from "comlink";
import { CeilingsBench } from "../bench/ceilings.ts";
import { convolutionCases } from "../bench/kernels/convolutions.ts";
import { lossCases } from "../bench/kernels/losses.ts";
import { type Measurement, measureCase } from "../bench/kernels/measure.ts";
import { volumeCases } from "../bench/kernels/volumes.ts";
import { Stopwatch } from "../bench/stopwatch.ts";
import { device, gpuInfo } from "./gpu.ts";
import { type Gpu, READY } from "./protocol.ts";

/** A network's filters and patch, whose shapes are timed. */
export interface BenchSize {
  filters: number;
  patch: readonly number[];
  samples: number;
}

let stopped = false;

const bench = {
  gpu: (): Promise<Gpu> => gpuInfo(),

  stop(): void {
    stopped = true;
  },

  /** Measures all cases whose name holds `filter`; tells each row when it is there, and returns the clock's name. */
  async run(
    { filters, patch, samples }: BenchSize,
    filter: string,
    tell: (row: Measurement, done: number, all: number) => void,
  ): Promise<string> {
    stopped = false;
    const cases = [convolutionCases, volumeCases, lossCases]
      .flatMap((list) => list(filters, patch))
      .filter(({ op, detail }) => `${op} ${detail}`.toLowerCase().includes(filter.toLowerCase()));
    const on = await device();
    const stopwatch = new Stopwatch(on);
    const ceilings = await CeilingsBench.open(on, stopwatch, filters * patch.reduce((a, b) => a * b, 1));
    try {
      await ceilings.measure();
      for (const [i, subject] of cases.entries()) {
        for await (const row of measureCase({ device: on, stopwatch, ceilings, samples }, subject)) {
          tell(row, i + 1, cases.length);
          if (stopped) return stopwatch.clock;
        }
      }
    } finally {
      ceilings.free();
    }
    return stopwatch.clock;
  },
};

export type Bench = typeof bench;

expose(bench);
postMessage(READY);
