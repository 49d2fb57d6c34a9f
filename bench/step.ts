// node bench/step.js: whole training steps of a student with ProtoKD on random patches: seconds, kernel
// calls, submissions, pipelines and peak bytes; with --profile, milliseconds by kernel.

import { cpus } from "node:os";
import { Command } from "commander";
import { isMain, runCommand } from "../cli/command.ts";
import { parsePatch } from "../cli/config.ts";
import { describe, openDevice } from "../cli/gpu.ts";
import { bytesText, Profile, Random } from "../engine/index.ts";
import { METHODS } from "../model/methods/index.ts";
import { Params } from "../model/params.ts";
import { Trainer } from "../model/trainer.ts";
import { VNET, type VnetConfig } from "../model/vnet.ts";

interface Flags {
  filters: string;
  levels: string;
  norm: VnetConfig["norm"];
  patch: string;
  batch: string;
  steps: string;
  method: string;
  profile?: boolean;
}

async function main({ norm, method: methodName, profile, ...flags }: Flags): Promise<void> {
  const [filters, levels, batch, steps] = [flags.filters, flags.levels, flags.batch, flags.steps].map(
    Number,
  ) as [...[number, number, number, number]];
  const patch = parsePatch(flags.patch);
  const device = await openDevice();
  console.log(`${describe(device.adapter.info)}, ${cpus().length} x ${cpus()[0]?.model}`);
  console.log(
    `${filters} filters, ${levels} levels, patch ${patch.join("x")}, batch ${batch}, method ${methodName}`,
  );

  const config = (modalities: number): VnetConfig => ({ ...VNET, modalities, filters, levels, norm });
  const random = new Random(1);
  const voxels = batch * patch[0] * patch[1] * patch[2];
  const images = Float32Array.from({ length: 4 * voxels }, () => random.next() - 0.5);
  const label = Uint8Array.from({ length: voxels }, () => random.integer(VNET.classes));
  const data = { images, label, cases: Array.from({ length: batch }, (_, i) => `random ${i}`) };
  const method = METHODS[methodName] ?? fail(methodName);
  const trainer = new Trainer({
    ...{ device, method, patch, channels: [0], epochs: 1, stepsPerEpoch: steps, next: () => data },
    network: { params: new Params(device, { seed: 1 }), config: config(1) },
    teacher: method.teacher ? { params: new Params(device, { seed: 2 }), config: config(4) } : null,
  });

  const count = () => ({
    time: performance.now(),
    calls: device.dispatches,
    submissions: device.submissions,
  });
  let before = count();
  for await (const event of trainer.run()) {
    if (event.type !== "step") continue;
    const now = count();
    const seconds = ((now.time - before.time) / 1000).toFixed(2);
    console.log(
      `step ${event.step}: ${seconds} s, ${now.calls - before.calls} kernel calls in ${now.submissions - before.submissions} ` +
        `submissions, ${device.pipelines.size} pipelines, peak ${bytesText(device.peakBytes)}, loss ${event.losses["total"]!.toFixed(4)}`,
    );
    if (profile && event.step === steps - 1) device.profile = new Profile(device);
    before = count();
  }
  const rows = (await device.profile?.rows()) ?? [];
  const all = rows.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  for (const { kernel, calls, milliseconds } of rows) {
    const share = `${((100 * milliseconds) / all).toFixed(1)} %`;
    console.log(
      `${kernel.padEnd(40)} ${String(calls).padStart(4)} ${milliseconds.toFixed(1).padStart(9)} ms ${share.padStart(7)}`,
    );
  }
}

function fail(name: string): never {
  throw new Error(`--method: expected one of ${Object.keys(METHODS).join(", ")}, got ${name}`);
}

const command = new Command("step")
  .description("Times whole training steps; the first compiles the kernels.")
  .option("--filters <n>", "channels at full resolution", "8")
  .option("--levels <n>", "resolutions", String(VNET.levels))
  .option("--norm <kind>", "instance or batch", VNET.norm)
  .option("--patch <d,h,w>", "voxels", "32,32,32")
  .option("--batch <n>", "patches", "2")
  .option("--steps <n>", "how many", "4")
  .option("--method <name>", "none or protokd", "protokd")
  .option("--profile", "time by kernel in the last step");

if (isMain(import.meta.url)) process.exitCode = await runCommand<Flags>(command, main);
