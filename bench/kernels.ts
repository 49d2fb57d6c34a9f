// npm run bench [-- --filter TEXT --quick --json FILE]: times every op at the network's shapes, and checks
// each result against float64. Prints median and shortest milliseconds; GFLOP/s, GB/s and the fraction of the
// adapter's ceilings are those of the shortest. The ceilings are measured again beside every row. Exits 1 if
// a result is wrong.

import { Command, Option } from "commander";
import { isMain, runCommand } from "../cli/terminal/command.ts";
import { UsageError } from "../model/settings/errors.ts";
import { openDevice } from "../cli/device/gpu.ts";
import type { Device } from "../engine/index.ts";
import { CeilingsBench } from "./ceilings.ts";
import { jsonFile } from "./jsonFile.ts";
import { type KernelSize, kernelCases, noCase } from "./kernels/cases.ts";
import { type Measurement, measureCase } from "./kernels/measure.ts";
import { machineText, thisMachine } from "./machine.ts";
import { type Clock, Stopwatch } from "./stopwatch.ts";

interface Flags {
  filter?: string;
  quick?: boolean;
  json?: string;
  clock: Clock;
}

/** The paper's network, and one that fits small GPUs. */
const FULL = { filters: 16, patch: [96, 128, 128], samples: 5 } as const;
const SMALL = { filters: 8, patch: [48, 64, 64], samples: 5 } as const;
const QUICK = { ...SMALL, samples: 3 } as const;

const TOLERANCE = 1e-4;

async function main({ filter = "", quick, json, clock }: Flags): Promise<void> {
  const sizes = (quick ? [QUICK] : [FULL, SMALL]).map((size) => ({
    ...size,
    cases: kernelCases(size, filter),
  }));
  if (sizes.every(({ cases }) => cases.length === 0))
    throw new UsageError(`--filter: ${noCase(QUICK, filter)}`);
  const write = jsonFile(json);
  const device = await openDevice();
  const stopwatch = new Stopwatch(device, clock);
  const machine = thisMachine(device.adapter);
  console.log(`${machineText(machine)}; time by ${stopwatch.clock}`);

  const rows: (Measurement & { filters: number })[] = [];
  for (const { filters, patch, samples, cases } of sizes) {
    const ceilings = await openCeilings(device, stopwatch, { filters, patch });
    console.log(heading());
    for (const subject of cases) {
      for await (const row of measureCase({ device, stopwatch, ceilings, samples }, subject)) {
        rows.push({ filters, ...row });
        console.log(line(row));
      }
    }
    ceilings.free();
  }
  summarise(rows);
  write({ ...machine, clock: stopwatch.clock, rows });
  const wrong = rows.filter(isWrong);
  if (wrong.length)
    console.log(`wrong: ${wrong.map(({ op, pass, detail }) => `${op} ${detail}, ${pass}`).join("; ")}`);
  process.exitCode = wrong.length ? 1 : 0;
}

async function openCeilings(
  device: Device,
  stopwatch: Stopwatch,
  { filters, patch }: KernelSize,
): Promise<CeilingsBench> {
  const ceilings = await CeilingsBench.open(device, stopwatch, filters * patch.reduce((a, b) => a * b, 1));
  const { operations, bytes } = await ceilings.measure();
  console.log(
    `\n${filters} filters, ${patch.join("x")}; ceilings now: ${(operations / 1e9).toFixed(1)} GFLOP/s ` +
      `(${ceilings.forms.operations}), ${(bytes / 1e9).toFixed(1)} GB/s (${ceilings.forms.bytes})`,
  );
  return ceilings;
}

const NAME = 40;
const COLUMNS = [10, 10, 9, 8, 15, 8] as const;

function heading(): string {
  return text(["", "", "", "ms", "least", "GFLOP/s", "GB/s", "of peak", "error"]);
}

function line(row: Measurement): string {
  const {
    op,
    detail,
    size,
    pass,
    ms,
    shortest_ms,
    gflops,
    gbytes_per_second,
    fraction_of_peak,
    bound,
    error,
    problem,
  } = row;
  const name = [`${op} ${detail}`, size.join("x"), pass];
  if (problem !== null) return `${text(name)}  not run: ${problem}`;
  const peak = `${(100 * fraction_of_peak!).toFixed(0)} % ${bound}`;
  const numbers = [
    digits(ms!),
    digits(shortest_ms!),
    gflops ? digits(gflops) : "",
    digits(gbytes_per_second!),
    peak,
    error!.toExponential(0),
  ];
  return text([...name, ...numbers]) + (isWrong(row) ? "  WRONG" : "");
}

function text([name = "", size = "", pass = "", ...numbers]: string[]): string {
  const columns = numbers.map((number, i) => number.padStart(COLUMNS[i]!));
  return `${name.padEnd(NAME)} ${size.padEnd(11)} ${pass.padEnd(15)}${columns.join(" ")}`.trimEnd();
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(value >= 1 ? 2 : 3);
}

/** Prints, for each op and pass, the geometric mean of the fraction of peak over its shapes. */
function summarise(rows: readonly Measurement[]): void {
  const groups = new Map<string, number[]>();
  for (const { op, detail, pass, fraction_of_peak } of rows) {
    if (fraction_of_peak === null) continue;
    const name = op.startsWith("conv") ? `${op} ${detail.split(",")[0]}, ${pass}` : `${op}, ${pass}`;
    groups.set(name, [...(groups.get(name) ?? []), fraction_of_peak]);
  }
  console.log("\nfraction of peak, geometric mean over shapes");
  for (const [name, fractions] of groups) {
    const mean = Math.exp(fractions.reduce((sum, f) => sum + Math.log(f), 0) / fractions.length);
    console.log(`${name.padEnd(NAME)} ${(100 * mean).toFixed(0).padStart(4)} %  (${fractions.length} rows)`);
  }
}

function isWrong({ error }: Measurement): boolean {
  return error !== null && !(error <= TOLERANCE);
}

const command = new Command("kernels")
  .description("Times every op at the network's shapes, and compares it with the adapter's ceilings.")
  .option("--filter <text>", "only ops whose name or channels contain it: conv3d, 3³, instanceNorm")
  .option("--quick", "only 8 filters at 48x64x64, fewer repetitions")
  .option("--json <file>", "file for all numbers")
  .addOption(
    new Option("--clock <kind>", "clock to time with").choices(["timestamps", "wall"]).default("timestamps"),
  );

if (isMain(import.meta.url)) process.exitCode = await runCommand<Flags>(command, main);
