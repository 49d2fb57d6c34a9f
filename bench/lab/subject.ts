// A subject of the lab: the versions of a kernel, which compute the same, each faster than the one before.
// The first is naive, and the last are those of shaders/, run by the engine.

import { readFile } from "node:fs/promises";
import type { Lanes, Tensor, Vec3 } from "../../engine/index.ts";
import { kernels, type Kernels } from "../../engine/gpu/shader.ts";
import type { Values } from "../../model/networks/params.ts";
import type { Tensors } from "../kernels/case.ts";

export interface Subject {
  title: string;
  /** Draws inputs of `channels` channels and a volume [D,H,W]. */
  inputs: (channels: number, size: Vec3) => Readonly<Record<string, Values>>;
  /** The multiplications and additions, and the bytes to read or write, that every version needs. */
  least: (channels: number, size: Vec3) => { operations: number; bytes: number };
  /** Returns the relative error of a result against float64. */
  error: (inputs: Readonly<Record<string, Values>>, result: Values) => number;
  versions: readonly Version[];
  /** Lessons from the versions, and from others that lost. */
  lessons: string;
}

export interface Version {
  /** Its file, relative to the project's root. */
  file: string;
  idea: string;
  /** The subgroups that it needs, if it needs any. */
  needs?: { text: string; met: (lanes: Lanes) => boolean };
  /** Dispatches its kernels. `own` are those of its file, if that is in bench/lab. */
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

/** Reads the kernels of a version's file; none if the file is one of shaders/. */
export async function kernelsOf({ file }: Version): Promise<Kernels> {
  if (file.startsWith("shaders/")) return {};
  return kernels(file, await readFile(new URL(`../../${file}`, import.meta.url), "utf8"));
}
