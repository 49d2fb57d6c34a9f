// npm run bench:peers [-- --quick --filter TEXT --json FILE]: compares our engine with TensorFlow.js and
// jax-js on the same tasks, on the same adapter, in one run and by the same clock, and their results with
// ours. PyTorch on the CPU stands beside them. First: npm ci --prefix bench/peers

import { Command } from "commander";
import { isMain, runCommand } from "../cli/terminal/command.ts";
import { UsageError } from "../model/settings/errors.ts";
import { openDevice } from "../cli/device/gpu.ts";
import { CeilingsBench } from "./ceilings.ts";
import { jsonFile } from "./jsonFile.ts";
import { machineText, thisMachine } from "./machine.ts";
import {
  compare,
  disagreeing,
  leastWork,
  PEER_NAMES,
  type PeerName,
  ratio,
  type Row,
} from "./peers/compare.ts";
import { type Engine, type Task, Unsupported } from "./peers/engine.ts";
import { jax } from "./peers/jax.ts";
import { ours } from "./peers/ours.ts";
import { peerTasks } from "./peers/tasks.ts";
import { tfjs } from "./peers/tfjs.ts";
import { timeTorch } from "./peers/torch.ts";
import { Stopwatch } from "./stopwatch.ts";

interface Flags {
  quick?: boolean;
  filter?: string;
  json?: string;
}

const TITLES: Readonly<Record<PeerName, string>> = { tfjs: "TensorFlow.js", jax: "jax-js" };
const COPIED = 2 ** 19; // elements of the copy that is the norm's ceiling, as many as the norm's tensors have

async function main({ quick = false, filter = "", json }: Flags): Promise<void> {
  const all = peerTasks({ quick });
  const tasks = all.filter((task) => title(task).includes(filter));
  if (!tasks.length) {
    throw new UsageError(
      `--filter: no task has "${filter}" in its name; the tasks are ${all.map(title).join(", ")}`,
    );
  }
  const write = jsonFile(json);
  const device = await openDevice();
  const machine = thisMachine(device.adapter);
  console.log(machineText(machine));
  const peers = { tfjs: await opened("tfjs", tfjs), jax: await opened("jax", jax) };
  const torch = torchTimes(tasks);
  const ceilings = await CeilingsBench.open(device, new Stopwatch(device), COPIED);

  console.log(`\nmilliseconds, and in brackets the multiple of our time\n${heading()}`);
  const rows: Row[] = [];
  for (const [i, task] of tasks.entries()) {
    const row = await compare(ours(device, machine.commit ?? ""), peers, task);
    row.torch_cpu_ms = torch[i] ?? null;
    row.fraction_of_peak = await fractionOf(ceilings, task, row.ours_ms);
    rows.push(row);
    console.log(line(row));
  }
  const geomean = { tfjs: ratio(rows, "tfjs"), jax: ratio(rows, "jax") };
  console.log();
  for (const name of PEER_NAMES) {
    const times = geomean[name]?.toFixed(1);
    console.log(
      `${TITLES[name]}: ${times === undefined ? "no time" : `${times} times our time, geometric mean`}`,
    );
  }
  write({ ...machine, rows, geomean });
}

/** Opens a peer; returns the reason if it is not installed. */
async function opened(name: PeerName, open: () => Promise<Engine>): Promise<Engine | Unsupported> {
  try {
    const engine = await open();
    console.log(`${TITLES[name]} ${engine.version}`);
    return engine;
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    console.log(`${TITLES[name]}: ${error.message}`);
    return error;
  }
}

function torchTimes(tasks: readonly Task[]): number[] {
  try {
    const { version, ms } = timeTorch(tasks);
    console.log(`PyTorch ${version} on the CPU, for orientation`);
    return ms;
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    console.log(`PyTorch: ${error.message}`);
    return [];
  }
}

/** The least time that the present ceilings allow, over our time. */
async function fractionOf(ceilings: CeilingsBench, task: Task, ms: number): Promise<number | null> {
  const work = leastWork(task);
  if (!work) return null;
  const { operations, bytes } = await ceilings.measure();
  return (1000 * Math.max(work.operations / operations, work.bytes / bytes)) / ms;
}

const WIDTHS = [31, 16, 10, 9, 19, 19, 12] as const;

function heading(): string {
  return columns(["", "", "ours", "of peak", ...PEER_NAMES.map((name) => TITLES[name]), "PyTorch CPU"]);
}

function line(row: Row): string {
  const { shape, ours_ms, fraction_of_peak, torch_cpu_ms, notes } = row;
  const theirs = PEER_NAMES.map((name) => {
    const ms = row[`${name}_ms`];
    return ms === null ? "-" : `${digits(ms)} (${digits(ms / ours_ms)}x)`;
  });
  const peak = fraction_of_peak === null ? "" : `${(100 * fraction_of_peak).toFixed(0)} %`;
  const torch = torch_cpu_ms === null ? "-" : digits(torch_cpu_ms);
  const wrong = disagreeing(row).map(
    (name) =>
      `${TITLES[name]} differs from ours by ${row.differences[name]!.toExponential(0)}: not counted in the mean`,
  );
  const missing = PEER_NAMES.flatMap((name) => (notes[name] ? [`${TITLES[name]}: ${notes[name]}`] : []));
  const numbers = columns([title(row), shape.join("x"), digits(ours_ms), peak, ...theirs, torch]);
  return [numbers, ...wrong, ...missing].join("\n    ");
}

function columns(texts: readonly string[]): string {
  return texts.map((text, i) => (i < 2 ? text.padEnd(WIDTHS[i]!) : text.padStart(WIDTHS[i]!))).join(" ");
}

function title({ op, pass }: Pick<Task, "op" | "pass">): string {
  return `${op}, ${pass}`;
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}

const command = new Command("peers")
  .description("Compares our engine with other WebGPU engines: npm ci --prefix bench/peers first.")
  .option("--quick", "few and small tasks")
  .option("--filter <text>", "only tasks whose name contains it: conv3d, weight gradient, V-Net")
  .option("--json <file>", "file for all numbers");

if (isMain(import.meta.url)) process.exitCode = await runCommand<Flags>(command, main);
