// One task on every engine: the same values, the same clock, and results that must agree.

import { relativeError } from "../kernels/case.ts";
import { median } from "../stopwatch.ts";
import { sizeOf } from "../values.ts";
import { type Engine, type Task, Unsupported } from "./engine.ts";
import { timeRuns } from "./queueTime.ts";

export type PeerName = "tfjs" | "jax";
export const PEER_NAMES: readonly PeerName[] = ["tfjs", "jax"];

/** One task: milliseconds of each, null where there is none, which `notes` explains. */
export interface Row {
  op: Task["op"];
  pass: Task["pass"];
  /** Of the input, [N,C,D,H,W]. */
  shape: readonly number[];
  ours_ms: number;
  tfjs_ms: number | null;
  jax_ms: number | null;
  /** PyTorch's on the CPU. */
  torch_cpu_ms: number | null;
  /** What the ceilings measured beside the row allow at best, over our time; null for a whole step. */
  fraction_of_peak: number | null;
  /** Relative differences of their results from ours. */
  differences: Partial<Record<PeerName, number>>;
  notes: Partial<Record<PeerName, string>>;
}

/** Engines that are there, or why they are not. */
export type Peers = Readonly<Record<PeerName, Engine | Unsupported>>;

const SAMPLES = 5;
const STEPS_COMPARED = 3; // losses, each after the steps before
const TOLERANCE = 1e-4;
const STEP_TOLERANCE = 1e-3; // Adam's first steps are of one size, so that rounding decides where gradients are near 0

/** Times and compares; `fraction_of_peak` and `torch_cpu_ms` are left to the caller. */
export async function compare(us: Engine, peers: Peers, task: Task): Promise<Row> {
  const mine = await measure(us, task);
  const row: Row = {
    ...{ op: task.op, pass: task.pass, shape: task.x.shape, ours_ms: mine.ms },
    ...{ tfjs_ms: null, jax_ms: null, torch_cpu_ms: null, fraction_of_peak: null },
    ...{ differences: {}, notes: {} },
  };
  for (const name of PEER_NAMES) {
    const peer = peers[name];
    try {
      if (peer instanceof Unsupported) throw peer;
      const { ms, outputs } = await measure(peer, task);
      row[`${name}_ms`] = ms;
      row.differences[name] = Math.max(
        ...outputs.map((output, i) => relativeError(output, mine.outputs[i]!)),
      );
    } catch (error) {
      row.notes[name] = String(error instanceof Error ? error.message : error).split("\n")[0]!;
    }
  }
  return row;
}

/** Those whose results are not ours: `npm run bench` holds ours against float64. */
export function disagreeing({ op, differences }: Row): PeerName[] {
  const allowed = op === "V-Net" ? STEP_TOLERANCE : TOLERANCE;
  return PEER_NAMES.filter((name) => differences[name] !== undefined && !(differences[name] <= allowed));
}

/** How many times as long as ours a peer takes: the geometric mean over what both do alike; null without any. */
export function ratio(rows: readonly Row[], name: PeerName): number | null {
  const logs = rows.flatMap((row) => {
    const theirs = row[`${name}_ms`];
    return theirs === null || disagreeing(row).includes(name) ? [] : [Math.log(theirs / row.ours_ms)];
  });
  return logs.length ? Math.exp(logs.reduce((a, b) => a + b) / logs.length) : null;
}

/** What a task must compute or move; null where that is not one number. */
export function leastWork(task: Task): { operations: number; bytes: number } | null {
  if (task.op === "V-Net") return null;
  const tensors = task.pass === "forward" ? 2 : 4; // x and y; with gradients dy and dx too
  const bytes = 4 * tensors * sizeOf(task.x.shape);
  if (task.op === "instanceNorm") return { operations: 0, bytes };
  const outputs = task.dy.data.length / task.dy.shape[1]!; // voxels
  return { operations: 2 * outputs * sizeOf(task.weight.shape), bytes: 0 };
}

async function measure(engine: Engine, task: Task): Promise<{ ms: number; outputs: Float32Array[] }> {
  const errors: string[] = [];
  const listen = (event: GPUUncapturedErrorEvent) => {
    event.preventDefault(); // it is reported in the table
    errors.push(event.error.message);
  };
  engine.device.addEventListener("uncapturederror", listen);
  const prepared = engine.prepare(task);
  try {
    const outputs: Float32Array[] = [];
    for (let run = 0; run < (task.op === "V-Net" ? STEPS_COMPARED : 1); run++) {
      const results = await prepared.run(() => {});
      outputs.push(...(await results.read()));
      await results.free();
    }
    const ms = median(await timeRuns(engine.device, prepared, SAMPLES));
    if (errors.length) throw new Error(`${errors.length} errors of the GPU, the first: ${errors[0]}`);
    return { ms, outputs };
  } finally {
    engine.device.removeEventListener("uncapturederror", listen);
    prepared.finish();
  }
}
