// The file inputs.json in a stage's folder: where the stage's data were, and the checksums of the networks
// that it started from. With it a run is recognised after its files have moved, and a changed teacher is
// noticed.

import { realpath } from "node:fs/promises";
import { join, resolve } from "node:path";
import * as v from "valibot";
import { type OwnFile, valuesOf } from "../../data/datasets/json.ts";
import { sha256 } from "../../data/digest.ts";
import { readOwn } from "./ownFiles.ts";
import { readFile } from "../terminal/userFile.ts";

export const INPUTS_FILE = "inputs.json";

/** The data and the networks that a stage began with. */
export interface Inputs {
  /** The real path of the data's folder. */
  data: string;
  /** The SHA-256 of each network's file, by its stage; of --init and --init-encoder by the setting. */
  networks: Readonly<Record<string, string>>;
}

const INPUTS: OwnFile<Inputs> = {
  content: "the data and the networks that a stage began with",
  remedy: "restore it from a copy; without it, networks are compared by their paths",
  schema: v.looseObject({ data: v.string(), networks: valuesOf(v.string()) }),
};

/**
 * Reads the inputs in a stage's folder; null for a folder of an older version, which has none. Throws a
 * DataError for a damaged file.
 */
export function readInputs(folder: string): Promise<Inputs | null> {
  return readOwn(join(folder, INPUTS_FILE), INPUTS);
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
