// Checks a version of a kernel against float64, then times it.

import { type Device, free, scope, type Tensor, tensor, type Vec3 } from "../../engine/index.ts";
import type { CeilingsBench } from "../ceilings.ts";
import { larger } from "../kernels/measure.ts";
import { median, type Stopwatch } from "../stopwatch.ts";
import { kernelsOf, type Subject, type Version } from "./subject.ts";

export interface Shape {
  channels: number;
  size: Vec3;
}

export interface Checked {
  /** The relative error against float64. */
  error: number;
  /** Seconds until the first result, spent mostly on compiling. */
  first_s: number;
}

export interface Timed extends Checked {
  ms: number;
  shortest_ms: number;
  gflops: number;
  gbytes_per_second: number;
  /** The least time that the adapter's ceilings allow, over the shortest time measured. */
  fraction_of_peak: number;
}

export interface Bench {
  stopwatch: Stopwatch;
  ceilings: CeilingsBench;
  samples: number;
}

/** Measures a version's error. */
export function checkVersion(
  device: Device,
  subject: Subject,
  version: Version,
  shape: Shape,
): Promise<Checked> {
  return withVersion(device, subject, version, shape, (_, checked) => Promise.resolve(checked));
}

/** Measures a version's error and its speed. */
export function measureVersion(
  device: Device,
  subject: Subject,
  version: Version,
  { bench, ...shape }: Shape & { bench: Bench },
): Promise<Timed> {
  return withVersion(device, subject, version, shape, async (run, checked) => {
    const record = (begin: () => void) =>
      scope(() => {
        begin();
        run();
      });
    const before = await bench.ceilings.measure();
    const times = await bench.stopwatch.time({ before: null, record }, bench.samples);
    const ceilings = larger(before, await bench.ceilings.measure());
    const { operations, bytes } = subject.least(shape.channels, shape.size);
    const [shortest_ms, ms] = [times[0]!, median(times)];
    const least = 1000 * Math.max(operations / ceilings.operations, bytes / ceilings.bytes);
    return {
      ...checked,
      ms,
      shortest_ms,
      fraction_of_peak: least / shortest_ms,
      gflops: operations / shortest_ms / 1e6,
      gbytes_per_second: bytes / shortest_ms / 1e6,
    };
  });
}

/** Checks a version, then calls `then` while its inputs are on the device. */
async function withVersion<Result>(
  device: Device,
  subject: Subject,
  version: Version,
  { channels, size }: Shape,
  then: (run: () => Tensor, checked: Checked) => Promise<Result>,
): Promise<Result> {
  const own = await kernelsOf(version);
  const inputs = subject.inputs(channels, size);
  const tensors = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [name, tensor(device, shape, data)]),
  );
  const run = () => version.run(tensors, own);
  try {
    const started = performance.now();
    const first = scope(run);
    await first.read();
    const first_s = (performance.now() - started) / 1000;
    first.write(new Float32Array(first.size).fill(NaN)); // so that an element a version forgets is noticed
    free(first);
    const y = scope(run);
    const data = await y.read();
    free(y);
    return await then(run, { error: subject.error(inputs, { shape: y.shape, data }), first_s });
  } finally {
    Object.values(tensors).forEach(free);
  }
}
