// Runs one task on every engine, with the same values and the same clock. The results must agree.

import { append, largest } from "../../engine/values.ts";
import { sizeOf } from "../values.ts";
import { relativeError } from "../kernels/case.ts";
import { median } from "../stopwatch.ts";
import { type Engine, type Task, Unsupported } from "./engine.ts";
import { timeRuns } from "./queueTime.ts";

export type PeerName = "tfjs" | "jax";
export const PEER_NAMES: readonly PeerName[] = ["tfjs", "jax"];

/** One task: the milliseconds of each engine, or null with the reason in `notes`. */
export interface Row {
  op: Task["op"];
  pass: Task["pass"];
  /** The input's shape [N,C,D,H,W]. */
  shape: readonly number[];
  ours_ms: number;
  tfjs_ms: number | null;
  jax_ms: number | null;
  /** PyTorch's time on the CPU. */
  torch_cpu_ms: number | null;
  /** The least time that the ceilings allow, over our time; null for a whole step. */
  fraction_of_peak: number | null;
  /** The relative difference of each engine's results from ours. */
  differences: Partial<Record<PeerName, number>>;
  notes: Partial<Record<PeerName, string>>;
}

/** Each engine, or the reason why it is not installed. */
export type Peers = Readonly<Record<PeerName, Engine | Unsupported>>;

const SAMPLES = 5;
const STEPS_COMPARED = 3; // training steps whose losses are compared
const TOLERANCE = 1e-4;
const STEP_TOLERANCE = 1e-3; // Adam's first steps all have one size, so gradients near 0 amplify rounding

/** Times a task and compares results. The caller adds `fraction_of_peak` and `torch_cpu_ms`. */
export async function compare(us: Engine, peers: Peers, task: Task): Promise<Row> {
  const mine = await measure(us, task);
  const row: Row = {
    op: task.op,
    pass: task.pass,
    shape: task.x.shape,
    ours_ms: mine.ms,
    tfjs_ms: null,
    jax_ms: null,
    torch_cpu_ms: null,
    fraction_of_peak: null,
    differences: {},
    notes: {},
  };
  for (const name of PEER_NAMES) {
    const peer = peers[name];
    try {
      if (peer instanceof Unsupported) throw peer;
      const { ms, outputs } = await measure(peer, task);
      row[`${name}_ms`] = ms;
      row.differences[name] = largest(outputs.map((output, i) => relativeError(output, mine.outputs[i]!)));
    } catch (error) {
      row.notes[name] = String(error instanceof Error ? error.message : error).split("\n")[0]!;
    }
  }
  return row;
}

/** The engines whose results differ from ours. `npm run bench` compares ours with float64. */
export function disagreeing({ op, differences }: Row): PeerName[] {
  const allowed = op === "V-Net" ? STEP_TOLERANCE : TOLERANCE;
  return PEER_NAMES.filter((name) => differences[name] !== undefined && !(differences[name] <= allowed));
}

/**
 * A peer's time over ours, as the geometric mean over the tasks where both agree; null if there are no such
 * tasks.
 */
export function ratio(rows: readonly Row[], name: PeerName): number | null {
  const logs = rows.flatMap((row) => {
    const theirs = row[`${name}_ms`];
    return theirs === null || disagreeing(row).includes(name) ? [] : [Math.log(theirs / row.ours_ms)];
  });
  return logs.length ? Math.exp(logs.reduce((a, b) => a + b) / logs.length) : null;
}

/** The operations and bytes that a task needs at least; null for a whole step. */
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
    event.preventDefault(); // the table reports it
    errors.push(event.error.message);
  };
  engine.device.addEventListener("uncapturederror", listen);
  const prepared = engine.prepare(task);
  try {
    const outputs: Float32Array[] = [];
    for (let run = 0; run < (task.op === "V-Net" ? STEPS_COMPARED : 1); run++) {
      const results = await prepared.run(() => {});
      append(outputs, await results.read());
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
