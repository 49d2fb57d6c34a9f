// Compiling ahead. plan() runs a function without its kernels: each call only notes the pipeline it needs,
// while tensors get their buffers, so that too little memory shows here too. compile() then compiles all
// pipelines side by side.
//
// Some drivers, software ones among them, compile a kernel only when it is first dispatched, for seconds. So
// each is dispatched once here, with no workgroups: that computes nothing, whatever its buffers are.

import type { Layout, Plan } from "./bindings.ts";
import type { Device } from "./device.ts";
import { GpuError } from "./errors.ts";

/** The pipelines that `run` needs and the device lacks. The values that `run` computes are undefined. */
export function plan(device: Device, run: () => void): Plan {
  if (device.plan) throw new Error("plan: expected one plan at a time, got another inside it");
  const planned: Plan = (device.plan = new Map());
  try {
    run();
  } finally {
    device.plan = null;
  }
  return planned;
}

/** Compiles the planned pipelines, all at once, and yields how many are done. Throws a GpuError. */
export async function* compile(device: Device, planned: Plan): AsyncGenerator<number> {
  const waiting = new Map<string, Promise<string>>();
  for (const [key, { descriptor }] of planned) {
    const ready = (pipeline: GPUComputePipeline) => {
      device.pipelines.set(key, pipeline);
      return key;
    };
    waiting.set(key, device.gpu.createComputePipelineAsync(descriptor).then(ready));
  }
  const idle = new Idle(device);
  try {
    while (waiting.size) {
      const key = await Promise.race(waiting.values());
      waiting.delete(key);
      await idle.dispatch(device.pipelines.get(key)!, planned.get(key)!.layout);
      yield planned.size - waiting.size;
    }
  } catch (cause) {
    device.check(); // the shader's own error, which names its file and line
    throw new GpuError("validation", `compile: ${cause instanceof Error ? cause.message : String(cause)}`);
  } finally {
    idle.destroy();
  }
}

const BYTES = 256; // more than an element of any binding, and a valid offset

/** Dispatches without workgroups, on buffers of their own. */
class Idle {
  readonly #device: Device;
  readonly #read: GPUBuffer;
  readonly #written: GPUBuffer;
  readonly #uniforms: GPUBuffer;
  readonly #none: GPUBuffer; // the number of workgroups, 0: Dawn warns of a direct dispatch of none

  constructor(device: Device) {
    const { gpu } = device;
    const { STORAGE, UNIFORM, INDIRECT } = GPUBufferUsage;
    this.#device = device;
    this.#read = gpu.createBuffer({ size: BYTES, usage: STORAGE });
    this.#written = gpu.createBuffer({ size: BYTES * gpu.limits.maxBindingsPerBindGroup, usage: STORAGE });
    this.#uniforms = gpu.createBuffer({ size: BYTES, usage: UNIFORM });
    this.#none = gpu.createBuffer({ size: 12, usage: INDIRECT });
  }

  async dispatch(pipeline: GPUComputePipeline, { group: layout, buffers, uniform }: Layout): Promise<void> {
    const entries: GPUBindGroupEntry[] = buffers.map(({ binding, writable }, i) => {
      const resource = writable
        ? { buffer: this.#written, offset: BYTES * i, size: BYTES }
        : { buffer: this.#read };
      return { binding, resource };
    });
    if (uniform)
      entries.push({ binding: uniform.binding, resource: { buffer: this.#uniforms, size: uniform.size } });
    const { gpu } = this.#device;
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }), uniform ? [0] : []);
    pass.dispatchWorkgroupsIndirect(this.#none, 0);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    await this.#device.wait(gpu.queue.onSubmittedWorkDone());
  }

  destroy(): void {
    for (const buffer of [this.#read, this.#written, this.#uniforms, this.#none]) buffer.destroy();
  }
}
