// The choice of kernels for an adapter, kept from run to run: measured once where the adapter is a GPU, the default on a
// software one, whose compiling takes longer than a choice is worth. PROTOKD_TUNING=off leaves all this out.

import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import {
  type Abilities,
  type Device,
  isTuning,
  KERNELS,
  type Tuning,
  tune,
  tuningOf,
} from "../../engine/index.ts";
import { say } from "../terminal/console.ts";
import { writeAtomically } from "../files/files.ts";

/** Where choices are kept: in the user's cache, as the system has it. */
export function tuningFile(environment: NodeJS.ProcessEnv = process.env): string {
  const { LOCALAPPDATA, XDG_CACHE_HOME } = environment;
  const cache = process.platform === "win32" ? LOCALAPPDATA : XDG_CACHE_HOME;
  return join(cache || join(homedir(), ".cache"), "protokd", "tuning.json");
}

/** An adapter, and the kernels that were chosen from. */
function keyOf({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  return [vendor, architecture, device, description, `kernels ${KERNELS}`].join(" | ");
}

/** Whether an adapter is the CPU. */
export function isSoftware({ isFallbackAdapter, architecture, description }: GPUAdapterInfo): boolean {
  return isFallbackAdapter || /llvmpipe|swiftshader|lavapipe/i.test(`${architecture} ${description}`);
}

/** The choice that is kept for an adapter; null where there is none, or none that fits. */
export async function readTuning(info: GPUAdapterInfo, gpu: Abilities): Promise<Tuning | null> {
  const found = (await readAll())[keyOf(info)];
  return isTuning(found, gpu) ? found : null;
}

async function readAll(): Promise<Record<string, unknown>> {
  try {
    const found: unknown = JSON.parse(await readFile(tuningFile(), "utf8"));
    return typeof found === "object" && found !== null ? { ...found } : {};
  } catch {
    return {}; // it is but a cache
  }
}

async function writeTuning({ adapter }: Device, tuning: Tuning): Promise<void> {
  const all = { ...(await readAll()), [keyOf(adapter.info)]: tuning };
  await writeAtomically(tuningFile(), `${JSON.stringify(all, null, 2)}\n`);
}

interface Choice {
  retune?: boolean;
  /** What a run's config.json says. */
  recorded?: Tuning | null;
  choose?: (device: Device) => Promise<Tuning>;
}

/**
 * Sets the device's choice of kernels: `recorded`, a run's own, if it fits; else the one that is kept, or a new one,
 * measured where the adapter is a GPU or `retune` asks for it.
 */
export async function applyTuning(
  device: Device,
  { retune = false, recorded = null, choose = tune }: Choice = {},
): Promise<Device> {
  if (process.env["PROTOKD_TUNING"] === "off") return device;
  const known = retune
    ? null
    : isTuning(recorded, device)
      ? recorded
      : await readTuning(device.adapter.info, device);
  if (known) device.tuning = known;
  else if (retune || !isSoftware(device.adapter.info)) {
    say("choosing the fastest kernels for this adapter");
    device.tuning = await choose(device);
    device.trim();
    say(`  ${tuningText(tuningOf(device))}, kept in ${tuningFile()}`);
    await writeTuning(device, tuningOf(device)).catch((error: Error) => say(`  not kept: ${error.message}`));
  }
  return device;
}

/** In words: `forward eight, weight gradient plain (WG 128), halving plain`. */
export function tuningText(tuning: Tuning): string {
  return Object.entries(tuning)
    .map(([family, { kernel, ...sizes }]: [string, { kernel: string }]) => {
      const detail = Object.entries(sizes).map(([name, value]) => `${name} ${value}`);
      const name = family.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
      return `${name} ${kernel}${detail.length ? ` (${detail.join(", ")})` : ""}`;
    })
    .join(", ");
}

/** Opens a device for a command, with the kernels that are chosen for its adapter. */
export async function openTuned({ fast = false, ...choice }: { fast?: boolean } & Choice): Promise<Device> {
  const { openDevice } = await import("./gpu.ts");
  return applyTuning(await openDevice(fast ? { toggles: "fast" } : {}), choice);
}
