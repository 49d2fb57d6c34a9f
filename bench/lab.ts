// npm run lab -- conv3d|weightGradient|instanceNorm: times all versions of a kernel in one run, the naive one
// first, and checks each against float64. It shows the gain of each idea. Exits 1 if a result is wrong.

import { Argument, Command } from "commander";
import { isMain, runCommand } from "../cli/terminal/command.ts";
import { numberOption } from "../cli/terminal/kindOption.ts";
import { parsePatch, whole } from "../model/settings/kinds.ts";
import { openDevice } from "../cli/device/gpu.ts";
import { CeilingsBench } from "./ceilings.ts";
import { jsonFile } from "./jsonFile.ts";
import { conv3d } from "./lab/conv3d.ts";
import { instanceNorm } from "./lab/instanceNorm.ts";
import { measureVersion, type Timed } from "./lab/measure.ts";
import type { Subject } from "./lab/subject.ts";
import { weightGradient } from "./lab/weightGradient.ts";
import { machineText, thisMachine } from "./machine.ts";
import { Stopwatch } from "./stopwatch.ts";
import { sizeOf } from "./values.ts";

export const SUBJECTS: Readonly<Record<string, Subject>> = { conv3d, weightGradient, instanceNorm };

interface Flags {
  channels: number;
  size: string;
  samples: number;
  json?: string;
}

const TOLERANCE = 1e-4;

async function main(name: string, { channels, size: text, samples, json }: Flags): Promise<void> {
  const subject = SUBJECTS[name]!;
  const size = parsePatch(text, "--size");
  const write = jsonFile(json);
  const device = await openDevice();
  const stopwatch = new Stopwatch(device);
  const machine = thisMachine(device.adapter);
  console.log(`${machineText(machine)}; time by ${stopwatch.clock}`);
  const ceilings = await CeilingsBench.open(device, stopwatch, channels * sizeOf(size));
  const { operations, bytes } = await ceilings.measure();
  console.log(
    `${subject.title}, ${channels} channels, ${size.join("x")}; ` +
      `ceilings now: ${(operations / 1e9).toFixed(1)} GFLOP/s, ${(bytes / 1e9).toFixed(1)} GB/s\n\n${heading()}`,
  );
  const rows: (Timed & { file: string })[] = [];
  for (const version of subject.versions) {
    const { file, idea, needs } = version;
    console.log(`${subject.versions.indexOf(version) + 1} ${file}: ${idea}`);
    if (needs && !needs.met(device.lanes)) {
      console.log(`  not run: this adapter lacks ${needs.text}`);
      continue;
    }
    const bench = { stopwatch, ceilings, samples };
    const timed = await measureVersion(device, subject, version, { channels, size, bench });
    console.log(line(timed, rows.at(-1)));
    rows.push({ file, ...timed });
  }
  console.log(`\n${subject.lessons}`);
  write({ ...machine, subject: name, channels, size, rows });
  process.exitCode = rows.every(({ error }) => error <= TOLERANCE) ? 0 : 1;
}

const COLUMNS = [10, 10, 9, 8, 9, 9, 10, 8] as const;

function heading(): string {
  return columns(["ms", "least", "GFLOP/s", "GB/s", "of peak", "factor", "first run", "error"]);
}

/** The numbers of a version, and its speed relative to the version before. */
function line(row: Timed, before?: Timed): string {
  const { ms, shortest_ms, gflops, gbytes_per_second, fraction_of_peak, first_s, error } = row;
  const wrong = error <= TOLERANCE ? "" : "  WRONG";
  const numbers = columns([
    digits(ms),
    digits(shortest_ms),
    gflops ? digits(gflops) : "",
    digits(gbytes_per_second),
    `${(100 * fraction_of_peak).toFixed(0)} %`,
    before ? `x ${(before.shortest_ms / shortest_ms).toFixed(2)}` : "",
    `${first_s.toFixed(1)} s`,
    error.toExponential(0),
  ]);
  return numbers + wrong;
}

function columns(texts: readonly string[]): string {
  return texts.map((text, i) => text.padStart(COLUMNS[i]!)).join("");
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const command = new Command("lab")
  .description("Times all versions of a kernel, the naive one first.")
  .addArgument(new Argument("<kernel>", "the kernel").choices(Object.keys(SUBJECTS)))
  .addOption(numberOption("--channels <n>", "input and output channels", whole(1, 1024)).default(16))
  .option("--size <d,h,w>", "voxels", "24,32,32")
  .addOption(numberOption("--samples <n>", "samples of each version, at least", whole()).default(3))
  .option("--json <file>", "file for all numbers");

if (isMain(import.meta.url))
  process.exitCode = await runCommand<Flags>(command, (flags) => main(command.args[0]!, flags));
