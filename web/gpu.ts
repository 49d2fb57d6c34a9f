// The worker's device. One that is lost is replaced once; what was on it is the caller's to put back.

import { Device, GpuError } from "../engine/index.ts";
import { WHERE_WEBGPU } from "./explain.ts";
import type { Gpu } from "./protocol.ts";

const PAUSE = 250; // ms between two looks for a GPU that was lost
const PATIENCE = 10_000; // ms

let opened: Promise<Device> | null = null;
let found = false; // ever

/** The device; opens it at first. Throws a GpuError "unsupported" that says why there is none. */
export function device(): Promise<Device> {
  opened ??= open();
  opened.catch(() => (opened = null));
  return opened;
}

/** What the page says of the device. */
export async function gpuInfo(): Promise<Gpu> {
  try {
    const { adapter, largest } = await device();
    const { vendor, architecture, device: model, description, isFallbackAdapter } = adapter.info;
    const parts = [description || model, vendor, architecture].filter((part) => part !== "");
    const name = [...new Set(parts)].join(", ") || "an adapter that does not say its name";
    const slow = isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(name);
    return { found: true, name: slow ? `${name} (on the CPU: slow)` : name, largestBytes: largest };
  } catch (error) {
    return { found: false, why: error instanceof Error ? error.message : String(error) };
  }
}

/** Runs `work` on the device; where that is lost meanwhile, again on a new one, once. `lost` is told. */
export async function survivingLoss<T>(work: (device: Device) => Promise<T>, lost: () => void): Promise<T> {
  try {
    return await work(await device());
  } catch (error) {
    if (!(error instanceof GpuError) || error.kind !== "lost") throw error;
    opened = null;
    lost();
    try {
      return await work(await device());
    } catch (again) {
      if (again instanceof GpuError && again.kind === "lost") opened = null; // the next try starts afresh
      throw again;
    }
  }
}

async function open(): Promise<Device> {
  const gpu = (navigator as Partial<Navigator>).gpu;
  if (!gpu) throw new GpuError("unsupported", `This browser offers no WebGPU to the page. ${WHERE_WEBGPU}`);
  if (!(await adapterOf(gpu))) {
    const why = "This browser has WebGPU, but finds no GPU for it.";
    throw new GpuError("unsupported", `${why} ${WHERE_WEBGPU}`);
  }
  found = true;
  return Device.open(gpu);
}

/** Whether there is an adapter. Where there was one before, it may be on its way back: its process starts again. */
async function adapterOf(gpu: GPU): Promise<boolean> {
  for (let wait = 0; ; wait += PAUSE) {
    if (await gpu.requestAdapter()) return true;
    if (!found || wait >= PATIENCE) return false;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}
