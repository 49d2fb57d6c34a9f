// Dawn's WebGPU for Node. The only module that imports `webgpu`, and the only one that picks an adapter: the
// system's, or the software one that comes with an installed Chromium.
//
// Importing it starts Dawn (0.05 to 0.5 s), so commands import it after they have checked their arguments.

import { tmpdir } from "node:os";
import type * as webgpu from "webgpu";
import { Device, type DeviceOptions } from "../../engine/gpu/device.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { filesAtRest, quietly } from "../terminal/quiet.ts";
import { chosenDriver, remedy, swiftShaders, thisSystem } from "./vulkan.ts";

/** `safe` is WebGPU as in a browser; `fast` skips bounds checks, zeroing and division guards. */
export type Toggles = "safe" | "fast";

/** No adapter on this system; the message names what is missing and the command that installs it. */
export class NoAdapterError extends Error {
  override readonly name = "NoAdapterError";
  readonly exitCode = 4;
}

/** Dawn's defaults turn half precision off on NVIDIA's Vulkan driver, and round timestamps. */
const ALWAYS = { on: ["vulkan_enable_f16_on_nvidia"], off: ["timestamp_quantization"] } as const;

/** Dawn's names of the toggles that each mode enables. */
export const dawnToggles: Record<Toggles, readonly string[]> = {
  safe: ALWAYS.on,
  fast: [
    ...ALWAYS.on,
    ...["disable_robustness", "disable_workgroup_init", "disable_polyfills_on_integer_div_and_mod"],
  ],
};

/** The mode that PROTOKD_TOGGLES sets; `safe` without it. */
export const defaultToggles = togglesOf(process.env["PROTOKD_TOGGLES"] ?? "safe");
process.env["XDG_RUNTIME_DIR"] ??= tmpdir(); // Mesa complains without it

const dawn = await load();
const instances = new Map<Toggles, GPU>(); // kept, or they would be collected with their devices

/** Dawn's `navigator.gpu`. Without an adapter it is there too, and its requestAdapter() resolves to null. */
export const gpu: GPU = await connect(defaultToggles);

/** Opens a device; throws a NoAdapterError without a GPU. PROTOKD_TOGGLES is the default of `toggles`. */
export async function openDevice(options: DeviceOptions & { toggles?: Toggles } = {}): Promise<Device> {
  const { toggles = defaultToggles, ...deviceOptions } = options;
  const instance = await connect(toggles);
  if (!(await instance.requestAdapter())) throw new NoAdapterError(noAdapter());
  return Device.open(instance, { wait: "nap", ...deviceOptions });
}

/** A message on what is missing, and the command that installs it. */
export function noAdapter(): string {
  if (dawn instanceof Error) return `no WebGPU on ${process.platform}-${process.arch}: ${dawn.message}`;
  const chosen = chosenDriver();
  if (chosen === undefined) return `no GPU adapter: ${remedy(thisSystem())}`;
  return `no GPU adapter: VK_DRIVER_FILES=${chosen} has none: unset it, or name a driver's .json`;
}

/** An adapter in a few words: `llvmpipe: Mesa 25.0.7 (mesa, software)`. */
export function describe(info: GPUAdapterInfo): string {
  const { vendor, architecture, device, description } = info;
  const kind = [vendor, architecture].filter(Boolean).join(", ");
  return `${description || device || "unnamed"}${kind ? ` (${kind}${info.isFallbackAdapter ? ", on the CPU" : ""})` : ""}`;
}

/** An instance of Dawn that has an adapter, if any driver here has one. */
async function connect(toggles: Toggles): Promise<GPU> {
  const known = instances.get(toggles);
  if (known) return known;
  const flags = [
    `enable-dawn-features=${dawnToggles[toggles].join(",")}`,
    `disable-dawn-features=${ALWAYS.off.join(",")}`,
  ];
  let instance = await start(flags);
  if (!instance.found && process.platform === "linux" && chosenDriver() === undefined) {
    // The Vulkan loader reads its variables again for every instance, so that trying in this process works.
    for (const path of swiftShaders()) {
      process.env["VK_DRIVER_FILES"] = path;
      process.env["VK_ICD_FILENAMES"] = path; // its name for loaders before 1.3.207
      instance = await start(flags);
      if (instance.found) break;
      delete process.env["VK_DRIVER_FILES"];
      delete process.env["VK_ICD_FILENAMES"];
    }
  }
  instances.set(toggles, instance.gpu);
  return instance.gpu;
}

/** Starts Dawn. Drivers print their warnings during the first request for an adapter, before it returns. */
async function start(flags: string[]): Promise<{ gpu: GPU; found: boolean }> {
  if (dawn instanceof Error) return { gpu: nothing, found: false };
  const { create } = dawn;
  await filesAtRest();
  const [started, adapter] = quietly(() => {
    const created = create(flags);
    return [created, created.requestAdapter()] as const;
  });
  return { gpu: started, found: (await adapter) !== null };
}

/** Loads Dawn, a native module; returns the error on a platform that it is not built for. */
async function load(): Promise<typeof webgpu | Error> {
  try {
    const module = await import("webgpu");
    Object.assign(globalThis, module.globals);
    return module;
  } catch (error) {
    return new Error(String(error instanceof Error ? error.message : error).split("\n")[0]);
  }
}

const nothing = {
  requestAdapter: () => Promise.resolve(null),
  wgslLanguageFeatures: new Set(),
} as unknown as GPU;

function togglesOf(name: string): Toggles {
  if (name === "safe" || name === "fast") return name;
  throw new UsageError(`PROTOKD_TOGGLES: expected safe or fast, got ${name}`);
}
