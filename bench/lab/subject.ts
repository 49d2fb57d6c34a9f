// What the lab is about: a kernel's versions, the naive one first, each faster than the one before, which all compute
// the same. The last are those of shaders/ themselves, run by the engine.

import { readFile } from "node:fs/promises";
import {
  type Device,
  type Lanes,
  type Tensor,
  type Tuning,
  tuningOf,
  type Vec3,
} from "../../engine/index.ts";
import { kernels, type Kernels } from "../../engine/gpu/shader.ts";
import type { Values } from "../../model/networks/params.ts";
import type { Tensors } from "../kernels/case.ts";

export interface Subject {
  title: string;
  /** Of so many channels, and of [D,H,W]. */
  inputs: (channels: number, size: Vec3) => Readonly<Record<string, Values>>;
  /** What no version can do without: multiplications and additions, and bytes read or written. */
  least: (channels: number, size: Vec3) => { operations: number; bytes: number };
  /** The relative error of a result, against float64. */
  error: (inputs: Readonly<Record<string, Values>>, result: Values) => number;
  versions: readonly Version[];
  /** What the versions taught, and what was tried and lost. */
  learnt: string;
}

export interface Version {
  /** Its file, from the project's root. */
  file: string;
  idea: string;
  /** The subgroups that it needs; any will do where it says none. */
  needs?: { text: string; met: (lanes: Lanes) => boolean };
  /** Records its calls. `own` are the kernels of its file, if that is in the lab. */
  run: (inputs: Tensors, own: Kernels) => Tensor;
}

export const EIGHT_OR_MORE = {
  text: "subgroups of at least 8 lanes",
  met: ({ min }: Lanes) => min >= 8,
};
export const EIGHT = {
  text: "subgroups of exactly 8 lanes",
  met: ({ min, max }: Lanes) => min === 8 && max === 8,
};

/** The kernels of a version's file; none where it is the engine's. */
export async function kernelsOf({ file }: Version): Promise<Kernels> {
  if (file.startsWith("shaders/")) return {};
  return kernels(file, await readFile(new URL(`../../${file}`, import.meta.url), "utf8"));
}

/** What `run` gives with some of the engine's choices. */
export function choosing(device: Device, choice: Partial<Tuning>, run: () => Tensor): Tensor {
  const before = tuningOf(device);
  device.tuning = { ...before, ...choice };
  try {
    return run();
  } finally {
    device.tuning = before;
  }
}
