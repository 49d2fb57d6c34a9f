// Measures one case on the device: checks each pass, then times it between two measurements of the ceilings.

import { type Device, free, GpuError, scope, type Tensor, tensor, vjp } from "../../engine/index.ts";
import type { Values } from "../../model/networks/params.ts";
import type { Ceilings, CeilingsBench } from "../ceilings.ts";
import { median, type Stopwatch, type Work } from "../stopwatch.ts";
import { normal } from "../values.ts";
import type { KernelCase, Pass, Tensors } from "./case.ts";

/** The measurement of one pass, and how near it comes to the adapter's ceilings. */
export interface Measurement {
  op: string;
  pass: Pass["name"];
  detail: string;
  size: readonly number[];
  /**
   * Median and shortest milliseconds of a call. These and all later members are null if the pass cannot run.
   */
  ms: number | null;
  shortest_ms: number | null;
  samples: number;
  /** Rates of the shortest call. */
  gflops: number | null;
  gbytes_per_second: number | null;
  /**
   * The least time that the ceilings allow, over the shortest time measured; and the ceiling that bounds it.
   */
  fraction_of_peak: number | null;
  bound: "arithmetic" | "memory" | null;
  /** The larger of the ceilings measured just before and just after. */
  peak: { gflops: number; gbytes_per_second: number } | null;
  /** Relative error against the float64 reference. */
  error: number | null;
  /** The reason why it cannot run. */
  problem: string | null;
}

export interface Bench {
  device: Device;
  stopwatch: Stopwatch;
  ceilings: CeilingsBench;
  samples: number;
}

const COTANGENT = 99; // a seed

/**
 * Measures the passes of a case, and yields each as soon as it is done. A pass that does not fit the
 * adapter's memory yields the problem.
 */
export async function* measureCase(bench: Bench, subject: KernelCase): AsyncGenerator<Measurement> {
  const { device, ceilings } = bench;
  const inputs = Object.fromEntries(Object.entries(subject.inputs).map(([name, draw]) => [name, draw()]));
  const tensors: Record<string, Tensor> = {};
  try {
    let before = await ceilings.measure();
    for (const pass of subject.passes) {
      let run: Run | null = null;
      try {
        for (const [name, { shape, data }] of Object.entries(inputs))
          tensors[name] ??= tensor(device, shape, data);
        run = prepare(device, subject, tensors, pass);
        const error = subject.check({ pass, inputs, dy: run.dy, results: await run.results() });
        const times = await bench.stopwatch.time(run.work, bench.samples);
        const after = await ceilings.measure();
        yield measurement(subject, pass, { times, bytes: run.bytes, error, nearest: larger(before, after) });
        before = after;
      } catch (error) {
        if (!(error instanceof GpuError && error.kind === "out-of-memory")) throw error;
        yield impossible(subject, pass, error.message);
      } finally {
        run?.free();
      }
    }
  } finally {
    subject.finish?.();
    Object.values(tensors).forEach(free);
    device.trim();
  }
}

/** A pass ready to run. */
interface Run {
  work: Work;
  /** The bytes that must be read or written. */
  bytes: number;
  dy: Values | null;
  results: () => Promise<Values[]>;
  free: () => void;
}

function prepare(device: Device, subject: KernelCase, tensors: Tensors, pass: Pass): Run {
  return pass.by.length ? backwardRun(device, subject, tensors, pass) : forwardRun(subject, tensors, pass);
}

function forwardRun(subject: KernelCase, tensors: Tensors, pass: Pass): Run {
  const y = scope(() => subject.run(tensors));
  const record = (begin: () => void) =>
    scope(() => {
      begin();
      subject.run(tensors);
    });
  return {
    work: { before: null, record },
    bytes: bytesOf(pass, tensors, y.size),
    dy: null,
    results: async () => [{ shape: y.shape, data: await y.read() }],
    free: () => free(y),
  };
}

function backwardRun(device: Device, subject: KernelCase, tensors: Tensors, pass: Pass): Run {
  const before = () => scope(() => void subject.run(tensors));
  const dy = normal(scope(() => subject.run(tensors)).shape, COTANGENT);
  const cotangent = tensor(device, dy.shape, dy.data);
  const by = pass.by.map((name) => tensors[name]!);
  const pull = (begin: () => void) =>
    vjp(
      by,
      () => {
        const y = subject.run(tensors);
        begin(); // after this comes the backward pass alone
        return y;
      },
      cotangent,
    );
  const results = async () => {
    const { output, grads } = pull(() => {});
    free(output);
    const values: Values[] = [];
    for (const grad of grads) values.push({ shape: grad.shape, data: await grad.read() });
    grads.forEach(free);
    return values;
  };
  return {
    work: { before, record: (begin) => scope(() => void pull(begin)) },
    bytes: bytesOf(
      pass,
      { ...tensors, dy: cotangent },
      by.reduce((sum, { size }) => sum + size, 0),
    ),
    dy,
    results,
    free: () => free(cotangent),
  };
}

/** The bytes that a pass must read or write, each once. */
function bytesOf({ reads, state = 0 }: Pass, tensors: Tensors, written: number): number {
  return 4 * (reads.reduce((sum, name) => sum + tensors[name]!.size, 0) + written + state);
}

function measurement(
  { op, detail, size }: KernelCase,
  { name, operations }: Pass,
  { times, bytes, error, nearest }: { times: number[]; bytes: number; error: number; nearest: Ceilings },
): Measurement {
  const ms = median(times);
  const shortest = times[0]!; // other processes lengthen the rest
  const arithmetic = (1000 * (operations ?? 0)) / nearest.operations;
  const memory = (1000 * bytes) / nearest.bytes;
  return {
    op,
    pass: name,
    detail,
    size,
    ms,
    shortest_ms: shortest,
    samples: times.length,
    gflops: operations ? operations / shortest / 1e6 : null,
    gbytes_per_second: bytes / shortest / 1e6,
    fraction_of_peak: Math.max(arithmetic, memory) / shortest,
    bound: arithmetic > memory ? "arithmetic" : "memory",
    peak: { gflops: nearest.operations / 1e9, gbytes_per_second: nearest.bytes / 1e9 },
    error,
    problem: null,
  };
}

function impossible({ op, detail, size }: KernelCase, pass: Pass, problem: string): Measurement {
  return {
    op,
    pass: pass.name,
    detail,
    size,
    ms: null,
    shortest_ms: null,
    samples: 0,
    gflops: null,
    gbytes_per_second: null,
    fraction_of_peak: null,
    bound: null,
    peak: null,
    error: null,
    problem,
  };
}

/** The larger of each ceiling, so that a fraction of peak is never too high. */
export function larger(a: Ceilings, b: Ceilings): Ceilings {
  return { operations: Math.max(a.operations, b.operations), bytes: Math.max(a.bytes, b.bytes) };
}
