// The worker's device. A lost device is replaced once; the caller puts its data on the new one.

import { Device, GpuError } from "../../engine/index.ts";
import { WHERE_WEBGPU } from "../ui/explain.ts";
import type { Gpu } from "./protocol.ts";

let opened: Promise<Device> | null = null;
let everLost = false;
const RESTART = { tries: 20, ms: 250 }; // the time for a browser to restart its GPU process

/** The device; the first call opens it. Throws a GpuError "unsupported" with the reason if that fails. */
export function device(): Promise<Device> {
  opened ??= open();
  opened.catch(() => (opened = null));
  return opened;
}

/** The device's name and largest tensor, or the reason why there is no device. */
export async function gpuInfo(): Promise<Gpu> {
  try {
    const { adapter, largest } = await device();
    const { vendor, architecture, device: model, description, isFallbackAdapter } = adapter.info;
    const parts = [description || model, vendor, architecture].filter((part) => part !== "");
    const name = [...new Set(parts)].join(", ") || "unnamed adapter";
    const slow = isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(name);
    return { found: true, name: slow ? `${name} (on the CPU: slow)` : name, largestBytes: largest };
  } catch (error) {
    return { found: false, why: error instanceof Error ? error.message : String(error) };
  }
}

/** Runs `work` on the device. If that is lost, calls `lost` and runs it once more on a new one. */
export async function survivingLoss<T>(work: (device: Device) => Promise<T>, lost: () => void): Promise<T> {
  try {
    return await work(await device());
  } catch (error) {
    if (!(error instanceof GpuError) || error.kind !== "lost") throw error;
    opened = null;
    everLost = true;
    lost();
    await gpuBack();
    try {
      return await work(await device());
    } catch (again) {
      if (again instanceof GpuError && again.kind === "lost") opened = null; // the next call opens a new one
      throw again;
    }
  }
}

/** Waits until the browser finds a GPU again, for some seconds. */
async function gpuBack(): Promise<void> {
  for (let i = 0; i < RESTART.tries && !(await navigator.gpu.requestAdapter()); i++) {
    await new Promise((resolve) => setTimeout(resolve, RESTART.ms));
  }
}

async function open(): Promise<Device> {
  const gpu = (navigator as Partial<Navigator>).gpu;
  if (!gpu) throw new GpuError("unsupported", `This browser has no WebGPU for this page. ${WHERE_WEBGPU}`);
  if (!(await gpu.requestAdapter())) {
    const gone = "The GPU was lost and did not come back: reload the page, or restart the browser.";
    const why = `This browser has WebGPU, but finds no GPU for it. ${WHERE_WEBGPU}`;
    throw new GpuError("unsupported", everLost ? gone : why);
  }
  return Device.open(gpu);
}
