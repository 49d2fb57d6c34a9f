// npm run bench:step [-- --quick --json FILE --trace FILE]: times whole training steps of a student of one
// contrast, with ProtoKD by default, on random patches. Prints seconds, memory, kernel calls, compile time,
// JavaScript's share, and the GPU's time by phase and by kernel.

import { Command, Option } from "commander";
import { isMain, runCommand } from "../cli/terminal/command.ts";
import { UsageError } from "../model/settings/errors.ts";
import { fittingPatch } from "../trainer/settings/config.ts";
import { numberOption } from "../cli/terminal/kindOption.ts";
import { parsePatch, whole } from "../model/settings/kinds.ts";
import { SETTINGS } from "../trainer/settings/settings.ts";
import { openDevice } from "../cli/device/gpu.ts";
import { bytesText, type Precision, type ProfileRow, profileRows } from "../engine/index.ts";
import { DEFAULT_METHOD, methodOf, METHODS } from "../model/methods/index.ts";
import { checkPrecision } from "../model/networks/network.ts";
import { VNET, type VnetConfig } from "../model/networks/vnet.ts";
import { jsonFile } from "./jsonFile.ts";
import { machineText, thisMachine } from "./machine.ts";
import { measureSteps, SEES, type StepMeasurement } from "./step/measure.ts";
import { traceOf } from "./step/trace.ts";

interface Flags {
  filters?: number;
  levels?: number;
  norm: VnetConfig["norm"];
  patch?: string;
  batch?: number;
  steps?: number;
  precision: Precision;
  method: string;
  sees: (typeof SEES)[number];
  quick?: boolean;
  json?: string;
  trace?: string;
}

/** Sizes that fit small GPUs. The paper's are --filters 16 --patch 96,128,128 --batch 4. */
const SIZES = { filters: 8, levels: VNET.levels, patch: "48,64,64", batch: 2, steps: 3 } as const;

/** The phantom's sizes. */
const QUICK = { filters: 8, levels: 4, patch: "32,32,32", batch: 2, steps: 2 } as const;

async function main({ quick, json, trace, method, sees, ...flags }: Flags): Promise<void> {
  const { patch: size, ...config } = { ...(quick ? QUICK : SIZES), ...flags };
  const patch = fittingPatch(parsePatch(size), config.levels);
  const [write, draw] = [jsonFile(json), jsonFile(trace, "--trace")];
  const device = await openDevice();
  if (trace !== undefined && !device.gpu.features.has("timestamp-query"))
    throw new UsageError("--trace: this adapter has no timestamps");
  const machine = thisMachine(device.adapter);
  console.log(machineText(machine));
  const { filters, levels, norm, batch, precision } = config;
  checkPrecision(device, precision);
  console.log(
    `${filters} filters, ${levels} levels, ${norm} norm, ${patch.join("x")}, batch ${batch}, ${precision}, ${method}, sees ${sees}`,
  );
  const options = { ...config, patch, method: methodOf(method), sees };
  const measured = await measureSteps(device, options, (line) => console.log(`  ${line}`));
  const { profiled, ...numbers } = measured;
  const phases = profileRows(profiled.dispatches, ({ phase }) => phase);
  const kernels = profileRows(profiled.dispatches, ({ kernel }) => kernel);
  print(measured, phases, kernels);
  const rows = (all: ProfileRow[]) =>
    all.map(({ kernel: name, calls, milliseconds }) => ({ name, calls, milliseconds }));
  write({
    ...machine,
    ...config,
    patch,
    method,
    sees,
    ...numbers,
    phases: rows(phases),
    kernels: rows(kernels),
  });
  draw(traceOf(profiled.phases, profiled.dispatches));
}

function print(measured: StepMeasurement, phases: ProfileRow[], kernels: ProfileRow[]): void {
  const { seconds, samplesPerSecond, first, setup, compile, pipelines, calls, submissions } = measured;
  const { recording, share, peakBytes, keptBytes, restingBytes, profiled } = measured;
  const lines = {
    "a step": `${digits(seconds)} s, ${digits(samplesPerSecond)} samples/s; the first ${digits(first)} s`,
    before: `${digits(setup)} s of setup, ${digits(compile)} s to compile ${pipelines} pipelines`,
    calls: `${calls} of kernels, in ${submissions} submissions`,
    JavaScript: `${digits(recording)} ms to record, ${(100 * share).toFixed(1)} % of a step`,
    memory:
      `${bytesText(peakBytes)} at most, ${(peakBytes / keptBytes).toFixed(2)} times the ` +
      `${bytesText(keptBytes)} when backward begins; ${bytesText(restingBytes)} between steps`,
  };
  console.log();
  for (const [name, text] of Object.entries(lines)) console.log(`${name.padEnd(12)}${text}`);
  if (!kernels.length) return console.log("no times by kernel: this adapter has no timestamps");
  const busy = phases.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  console.log(
    `\na step with timestamps: ${digits(profiled.seconds)} s; the GPU works for ${digits(busy / 1000)} s`,
  );
  for (const rows of [phases, kernels]) {
    console.log();
    for (const row of rows) console.log(line(row, busy));
  }
}

function line({ kernel, calls, milliseconds }: ProfileRow, busy: number): string {
  const share = `${((100 * milliseconds) / busy).toFixed(1)} %`;
  return `${kernel.padEnd(60)} ${String(calls).padStart(4)} ${milliseconds.toFixed(1).padStart(9)} ms ${share.padStart(7)}`;
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const byDefault = (key: keyof typeof SIZES) => `(default: ${SIZES[key]}; quick: ${QUICK[key]})`;

const command = new Command("step")
  .description("Times whole training steps, after a first one that warms up.")
  .option("--quick", "the phantom's network and patches")
  .addOption(
    numberOption("--filters <n>", `channels at full resolution ${byDefault("filters")}`, SETTINGS.filters),
  )
  .addOption(numberOption("--levels <n>", `resolutions ${byDefault("levels")}`, SETTINGS.levels))
  .addOption(new Option("--norm <kind>", "normalisation").choices(["instance", "batch"]).default(VNET.norm))
  .option("--patch <d,h,w>", `voxels ${byDefault("patch")}`)
  .addOption(numberOption("--batch <n>", `patches ${byDefault("batch")}`, SETTINGS.batch))
  .addOption(numberOption("--steps <n>", `timed steps ${byDefault("steps")}`, whole(1, 1e4)))
  .addOption(
    new Option("--precision <kind>", "precision of activations").choices(["f32", "f16"]).default("f32"),
  )
  .addOption(
    new Option("--method <name>", "training method").choices(Object.keys(METHODS)).default(DEFAULT_METHOD),
  )
  .addOption(new Option("--sees <contrasts>", "what the network sees").choices(SEES).default("one"))
  .option("--json <file>", "file for all numbers")
  .option("--trace <file>", "file for the trace of a step, for chrome://tracing");

if (isMain(import.meta.url)) process.exitCode = await runCommand<Flags>(command, main);
