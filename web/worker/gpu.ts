// The worker's device. One that is lost is replaced once; what was on it is the caller's to put back.

import { Device, GpuError } from "../../engine/index.ts";
import { WHERE_WEBGPU } from "../ui/explain.ts";
import type { Gpu } from "./protocol.ts";

let opened: Promise<Device> | null = null;
let everLost = false;
const BACK = { tries: 20, ms: 250 }; // for a browser to start its GPU process again

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
    everLost = true;
    lost();
    await gpuBack();
    try {
      return await work(await device());
    } catch (again) {
      if (again instanceof GpuError && again.kind === "lost") opened = null; // the next try starts afresh
      throw again;
    }
  }
}

/** Waits until the browser finds a GPU again, for some seconds. */
async function gpuBack(): Promise<void> {
  for (let i = 0; i < BACK.tries && !(await navigator.gpu.requestAdapter()); i++) {
    await new Promise((resolve) => setTimeout(resolve, BACK.ms));
  }
}

async function open(): Promise<Device> {
  const gpu = (navigator as Partial<Navigator>).gpu;
  if (!gpu) throw new GpuError("unsupported", `This browser offers no WebGPU to the page. ${WHERE_WEBGPU}`);
  if (!(await gpu.requestAdapter())) {
    const gone =
      "The GPU was lost, and this browser finds none since: reload the page, or restart the browser.";
    const why = `This browser has WebGPU, but finds no GPU for it. ${WHERE_WEBGPU}`;
    throw new GpuError("unsupported", everLost ? gone : why);
  }
  return Device.open(gpu);
}
