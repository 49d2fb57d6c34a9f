// npm run golden [-- DIR]: compares every operation, method's term and whole network with a folder of golden
// values. Prints the worst relative error of each case, and exits 1 if one is too large. Cases without an op
// or method of ours are named, and do not count.

import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { isMain, runCommand } from "../../cli/terminal/command.ts";
import {
  FIXTURES,
  type LossName,
  METHOD_FIXTURES,
  type NetworkCase,
  type OpCase,
  openGolden,
  SHARED,
} from "./folder.ts";
import { holds, measureNetwork, type NetworkMeasures } from "./network.ts";
import { isCovered, type Measure, measureOperation } from "./operations.ts";

interface Flags {
  json?: string;
  steps: string;
}

/** A printed line: a case's worst measure, relative to what is allowed. */
interface Row {
  name: string;
  worst: Measure | null;
  /** PyTorch's own float32, where the case says it. */
  float32: number | null;
  ok: boolean;
  note: string;
}

async function main(folder: string, { json, steps }: Flags): Promise<void> {
  const { ops, networks } = openGolden(folder);
  console.log(`golden values of ${folder}: relative errors ||got - want|| / ||want||\n`);
  console.log(line("", "worst", "allowed", "PyTorch's", "of"));
  const rows: Row[] = [];
  const add = (row: Row) => {
    rows.push(row);
    const { error = NaN, allowed = NaN, what = "" } = row.worst ?? {};
    const own = row.float32 === null ? "" : format(row.float32);
    console.log(line(row.name, format(error), format(allowed), own, `${what}${row.note}`, row.ok));
  };
  const uncovered = ops.filter((op) => !isCovered(op)).map(({ name }) => name);
  for (const op of ops.filter(isCovered)) add(await operationRow(op));
  for (const network of networks) {
    console.log(`\nthe whole network, ${network.norm} norm, ${network.filters} filters`);
    await networkRows(network, Number(steps), add);
  }
  const failed = rows.filter(({ ok }) => !ok);
  if (json) writeFileSync(json, `${JSON.stringify(rows, null, 1)}\n`);
  console.log(`\n${rows.length - failed.length} of ${rows.length} hold`);
  if (uncovered.length) {
    console.log(
      `${uncovered.length} cases of ${ops.length} have no method or op yet: ${uncovered.join(", ")}`,
    );
  }
  if (failed.length) console.log(`too large: ${failed.map(({ name }) => name).join(", ")}`);
  process.exitCode = failed.length ? 1 : 0;
}

async function operationRow(golden: OpCase): Promise<Row> {
  const { name, float32 } = golden;
  try {
    const measures = await measureOperation(golden);
    const worst = measures.reduce((a, b) => (b.error / b.allowed <= a.error / a.allowed ? a : b));
    const own = Object.values(float32);
    const ok = measures.every((m) => m.error <= m.allowed);
    return { name, worst, float32: own.length ? Math.max(...own) : null, ok, note: "" };
  } catch (error) {
    return { name, worst: null, float32: null, ok: false, note: (error as Error).message };
  }
}

async function networkRows(network: NetworkCase, steps: number, add: (row: Row) => void): Promise<void> {
  let made: NetworkMeasures;
  try {
    made = await measureNetwork(network, Math.min(steps, network.history.length));
  } catch (error) {
    add({ name: network.norm, worst: null, float32: null, ok: false, note: (error as Error).message });
    return;
  }
  const { measures, fragile, causes, later } = made;
  const { switched, vanishing, units } = causes;
  const excused = holds(made);
  for (const worst of measures) {
    const ok = worst.error <= worst.allowed;
    add({ name: network.norm, worst, float32: ownFloat32(network, worst.what), ok, note: "" });
  }
  for (const worst of fragile) {
    const within = worst.error <= worst.allowed;
    const note = within || !excused ? "" : ": rounding, see below";
    const float32 = ownFloat32(network, worst.what);
    add({ name: network.norm, worst, float32, ok: within || excused, note });
  }
  console.log(
    `of ${units.toLocaleString("en")} units in three steps, rounding switched ${switched} at ReLU; ` +
      `${vanishing} voxels have features so near zero that rounding turns them`,
  );
  if (later.length) {
    const pairs = later.map(({ step, error, float32 }) => `${step}: ${format(error)} (${format(float32)})`);
    console.log(`worst loss of later steps, and PyTorch's own float32: ${pairs.join(", ")}`);
  }
}

/** How far PyTorch's own float32 is in what is measured, where the folder says it. */
function ownFloat32({ float32 }: NetworkCase, what: string): number | null {
  const [, loss, step] = /^(\w+) of step (\d+)$/.exec(what) ?? [];
  if (loss) return float32.history[Number(step) - 1]![loss as LossName];
  return what === "features" || what === "logits" || what === "gradient" ? float32[what] : null;
}

function line(name: string, error: string, allowed: string, own: string, what: string, ok = true): string {
  const cells = `${name.padEnd(26)} ${error.padStart(8)} ${allowed.padStart(8)} ${own.padStart(10)}  ${what}`;
  return `${cells}${ok ? "" : "   TOO LARGE"}`.trimEnd();
}

function format(value: number): string {
  return Number.isNaN(value) ? "-" : value.toExponential(1);
}

if (isMain(import.meta.url)) {
  const program = new Command("golden")
    .description("Compares operations, methods' terms and whole networks with PyTorch's golden values.")
    .argument(
      "[dir]",
      "folder with cases.json, ops.safetensors or methods.safetensors, and vnet.safetensors if any",
      SHARED,
    )
    .option("--steps <n>", "steps of training to report; the first three are held", "20")
    .option("--json <file>", "also write the rows to a file")
    .addHelpText("after", `\nThose that come with the project: ${FIXTURES}, ${METHOD_FIXTURES}`);
  process.exitCode = await runCommand<Flags>(program, (flags) => main(program.args[0] ?? SHARED, flags));
}
