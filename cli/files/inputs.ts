// The file inputs.json in a stage's folder: where the stage's data were, and the checksums of the networks
// that it started from. With it a run is recognised after its files have moved, and a changed teacher is
// noticed.

import { realpath } from "node:fs/promises";
import { join, resolve } from "node:path";
import * as v from "valibot";
import { sha256 } from "../../data/digest.ts";
import { readFile } from "../terminal/userFile.ts";

export const INPUTS_FILE = "inputs.json";

const Schema = v.object({ data: v.string(), networks: v.record(v.string(), v.string()) });

/** The data and the networks that a stage began with. */
export interface Inputs {
  /** The real path of the data's folder. */
  data: string;
  /** The SHA-256 of each network's file, by its stage; of --init and --init-encoder by the setting. */
  networks: Readonly<Record<string, string>>;
}

/** Reads the inputs in a stage's folder; null for a folder of an older version, which has none. */
export async function readInputs(folder: string): Promise<Inputs | null> {
  try {
    return v.parse(Schema, JSON.parse(await readFile(join(folder, INPUTS_FILE), "utf8")));
  } catch {
    return null;
  }
}

/** Returns the SHA-256 of a file; null where it cannot be read. */
export async function fileChecksum(path: string): Promise<string | null> {
  const bytes = await readFile(path).catch(() => null);
  return bytes && sha256(bytes);
}

/** Returns the absolute path of a file or folder, with links resolved where it exists. */
export function realPath(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path));
}
