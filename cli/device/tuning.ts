// The choice of kernels for an adapter, cached between runs: measured once on a GPU; the default on a
// software adapter, where compiling the candidates takes longer than the best one saves. PROTOKD_TUNING=off
// skips all this.

import { homedir } from "node:os";
import { join } from "node:path";
import {
  type Abilities,
  type ByClass,
  type Choice,
  type Device,
  isChoice,
  isTuning,
  KERNELS,
  type Tuning,
  tune,
  tuningOf,
} from "../../engine/index.ts";
import { say, warn } from "../terminal/console.ts";
import { writeAtomically } from "../files/files.ts";
import { readFile } from "../terminal/userFile.ts";

/** The file with the choices: in the user's cache folder. */
export function tuningFile(environment: NodeJS.ProcessEnv = process.env): string {
  const { LOCALAPPDATA, XDG_CACHE_HOME } = environment;
  const cache = process.platform === "win32" ? LOCALAPPDATA : XDG_CACHE_HOME;
  return join(cache || join(homedir(), ".cache"), "protokd", "tuning.json");
}

/** A key of an adapter, of its driver with its version (`description`) and of the kernels to choose from. */
function keyOf({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  return [vendor, architecture, device, description, `kernels ${KERNELS}`].join(" | ");
}

/** True if an adapter is the CPU. */
export function isSoftware({ isFallbackAdapter, architecture, description }: GPUAdapterInfo): boolean {
  return isFallbackAdapter || /llvmpipe|swiftshader|lavapipe/i.test(`${architecture} ${description}`);
}

/** The cached choice for an adapter; null without one that fits. */
export async function readTuning(info: GPUAdapterInfo, gpu: Abilities): Promise<Tuning | null> {
  const found = (await readAll())[keyOf(info)];
  return isTuning(found, gpu) ? found : null;
}

async function readAll(): Promise<Record<string, unknown>> {
  try {
    const found: unknown = JSON.parse(await readFile(tuningFile(), "utf8"));
    return typeof found === "object" && found !== null ? { ...found } : {};
  } catch {
    return {}; // only a cache: measure again
  }
}

async function writeTuning({ adapter }: Device, tuning: Tuning): Promise<void> {
  const all = { ...(await readAll()), [keyOf(adapter.info)]: tuning };
  await writeAtomically(tuningFile(), `${JSON.stringify(all, null, 2)}\n`);
}

interface Wanted {
  retune?: boolean;
  /** The choice in a run's config.json. */
  recorded?: Tuning | null;
  choose?: (device: Device) => Promise<Tuning>;
}

/**
 * Sets the device's kernels: the `recorded` choice of a run, if it fits; otherwise the cached one, or a new
 * one that is measured on a GPU or with `retune`. Warns where a run gets other kernels than it began with.
 */
export async function applyTuning(
  device: Device,
  { retune = false, recorded = null, choose = tune }: Wanted = {},
): Promise<Device> {
  if (process.env["PROTOKD_TUNING"] === "off") return device;
  const isKnown = isTuning(recorded, device);
  const known = retune ? null : isKnown ? recorded : await readTuning(device.adapter.info, device);
  if (known) device.tuning = known;
  else if (retune || !isSoftware(device.adapter.info)) {
    say("choosing the fastest kernels for this adapter");
    device.tuning = await choose(device);
    device.trim();
    say(`  ${tuningText(tuningOf(device))}, saved in ${tuningFile()}`);
    await writeTuning(device, tuningOf(device)).catch((error: Error) => say(`  not saved: ${error.message}`));
  }
  if (recorded && !isKnown)
    warn(
      `the kernels that this run began with (${tuningText(recorded)}) do not run on this adapter, or are of another ` +
        `version: it resumes with ${tuningText(tuningOf(device))}, which round differently`,
    );
  return device;
}

/**
 * In words: `forward eight, weight gradient plain (WG 128), halving plain`; where classes of calls have
 * kernels of their own, that of most classes first, and the classes of each other one after it.
 */
export function tuningText(tuning: Tuning): string {
  return Object.entries(tuning)
    .map(([family, tuned]) => {
      const name = family.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
      return `${name} ${isChoice(tuned) ? choiceText(tuned) : classesText(tuned)}`;
    })
    .join(", ");
}

function choiceText({ kernel, ...sizes }: Choice): string {
  const detail = Object.entries(sizes).map(([name, value]) => `${name} ${value}`);
  return `${kernel}${detail.length ? ` (${detail.join(", ")})` : ""}`;
}

function classesText(tuned: ByClass): string {
  const classes = new Map<string, string[]>();
  for (const [name, choice] of Object.entries(tuned)) {
    const kernel = choiceText(choice);
    classes.set(kernel, [...(classes.get(kernel) ?? []), name]);
  }
  const [most, ...others] = [...classes].sort(([, a], [, b]) => b.length - a.length);
  return [most![0], ...others.map(([kernel, names]) => `${kernel} for ${names.join(" and ")}`)].join("; ");
}

/** Opens a device for a command, with the kernels chosen for its adapter. */
export async function openTuned({ fast = false, ...choice }: { fast?: boolean } & Wanted): Promise<Device> {
  const { openDevice } = await import("./gpu.ts");
  return applyTuning(await openDevice(fast ? { toggles: "fast" } : {}), choice);
}
