// Compiling ahead. A plan runs what will be run, but no kernel: each call only says which pipeline it needs, and
// tensors get their buffers as in earnest, so that what does not fit is found here too. Then all pipelines
// are compiled side by side.

import type { Device } from "./device.ts";
import { GpuError } from "./errors.ts";

/** The pipelines that are wanted, by what device.pipelines will know them by. */
export type Plan = Map<string, GPUComputePipelineDescriptor>;

/** The pipelines that `run` needs and the device lacks. What `run` computes is undefined, what it writes is written. */
export function plan(device: Device, run: () => void): Plan {
  if (device.plan) throw new Error("plan: expected one at a time, got another inside of it");
  const planned: Plan = (device.plan = new Map());
  try {
    run();
  } finally {
    device.plan = null;
  }
  return planned;
}

/** Compiles what was planned, all at once, and yields how many are done. A kernel called later finds its pipeline. */
export async function* compile(device: Device, planned: Plan): AsyncGenerator<number> {
  const waiting = new Map<string, Promise<string>>();
  for (const [key, descriptor] of planned) {
    const ready = (pipeline: GPUComputePipeline) => {
      device.pipelines.set(key, pipeline);
      return key;
    };
    waiting.set(key, device.gpu.createComputePipelineAsync(descriptor).then(ready));
  }
  while (waiting.size) {
    try {
      waiting.delete(await Promise.race(waiting.values()));
    } catch (cause) {
      device.check(); // an error of the shader itself, which names its file and line
      throw new GpuError("validation", `compile: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
    yield planned.size - waiting.size;
  }
}
