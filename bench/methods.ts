// npm run bench:methods [-- --quick --json FILE]: the time and memory of a training step of every method, as
// multiples of ProtoKD's. The methods take turns, so that what else the machine does slows all of them alike.

import { Command, Option } from "commander";
import { openDevice } from "../cli/device/gpu.ts";
import { isMain, runCommand } from "../cli/terminal/command.ts";
import { bytesText } from "../engine/index.ts";
import { DEFAULT_METHOD, type Method, methodOf, METHODS } from "../model/methods/index.ts";
import { VNET } from "../model/networks/vnet.ts";
import { jsonFile } from "./jsonFile.ts";
import { machineText, thisMachine } from "./machine.ts";
import { measureSteps, SEES, type StepOptions } from "./step/measure.ts";
import { median } from "./stopwatch.ts";
import { numberOption } from "../cli/terminal/kindOption.ts";
import { whole } from "../model/settings/kinds.ts";

interface Flags {
  quick?: boolean;
  rounds: number;
  sees: (typeof SEES)[number];
  json?: string;
}

/** The sizes of the cost model, and the phantom's. */
const SIZES = { filters: 8, levels: 4, patch: [48, 64, 64], batch: 2, steps: 3 } as const;
const QUICK = { ...SIZES, patch: [32, 32, 32], steps: 2 } as const;

/** A step of a method: the median of its rounds. */
export interface MethodCost {
  method: string;
  seconds: number;
  peakBytes: number;
  /** Kernel calls. */
  calls: number;
}

async function main({ quick = false, rounds, sees, json }: Flags): Promise<void> {
  const write = jsonFile(json);
  const sizes = { ...(quick ? QUICK : SIZES), norm: VNET.norm, precision: "f32", sees } as const;
  const machine = thisMachine((await openDevice()).adapter);
  console.log(machineText(machine));
  const { filters, levels, patch, batch } = sizes;
  console.log(`${filters} filters, ${levels} levels, ${patch.join("x")}, batch ${batch}, sees ${sees}`);
  const methods = Object.keys(METHODS).map(methodOf);
  const costs = await methodCosts(methods, sizes, rounds, (line) => console.log(`  ${line}`));
  console.log(`\n${table(costs).join("\n")}`);
  write({ ...machine, ...sizes, rounds, methods: costs });
}

/** Measures steps of each method in turn, for some rounds, each on a device of its own. */
export async function methodCosts(
  methods: readonly Method[],
  sizes: Omit<StepOptions, "method">,
  rounds: number,
  report: (line: string) => void,
): Promise<MethodCost[]> {
  const taken = methods.map(({ name }) => ({ method: name, times: [] as number[], peakBytes: 0, calls: 0 }));
  for (let round = 1; round <= rounds; round++)
    for (const [i, method] of methods.entries()) {
      const device = await openDevice();
      const measured = await measureSteps(device, { ...sizes, method }, () => undefined);
      device.gpu.destroy();
      const { seconds, peakBytes, calls } = measured;
      taken[i]!.times.push(seconds);
      Object.assign(taken[i]!, { peakBytes, calls });
      report(`round ${round}, ${method.name}: ${seconds.toFixed(3)} s, ${bytesText(peakBytes)}`);
    }
  return taken.map(({ times, ...cost }) => ({ ...cost, seconds: median(times.sort((a, b) => a - b)) }));
}

/** The lines of a markdown table of costs as multiples of the default method's. */
export function table(costs: readonly MethodCost[]): string[] {
  const base = costs.find(({ method }) => method === DEFAULT_METHOD)!;
  return [
    `| method | time x ${DEFAULT_METHOD} | memory x ${DEFAULT_METHOD} | seconds | memory | kernel calls |`,
    "|---|---|---|---|---|---|",
    ...costs.map(({ method, seconds, peakBytes, calls }) => {
      const [time, memory] = [seconds / base.seconds, peakBytes / base.peakBytes];
      const absolute = `${seconds.toFixed(2)} | ${bytesText(peakBytes)} | ${calls}`;
      return `| ${method} | ${time.toFixed(2)} | ${memory.toFixed(2)} | ${absolute} |`;
    }),
  ];
}

const command = new Command("methods")
  .description("Times a training step of every method, beside ProtoKD's.")
  .option("--quick", "the phantom's patches")
  .addOption(numberOption("--rounds <n>", "how often the methods take turns", whole(1, 1000)).default(3))
  .addOption(new Option("--sees <contrasts>", "what the network sees").choices(SEES).default("one"))
  .option("--json <file>", "file for all numbers");

if (isMain(import.meta.url)) process.exitCode = await runCommand<Flags>(command, main);
