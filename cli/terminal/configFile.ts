// --config FILE: settings as JSON, by the names of the table of settings, such as a run's config.json. One
// message lists all mistakes in a file.

import { jsonFault } from "../../engine/values.ts";
import { textOf } from "../../data/datasets/json.ts";
import { DataError } from "../../data/errors.ts";
import { duplicateKey } from "../../model/files/jsonKeys.ts";
import { fromHome } from "./command.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { checkSettings, type FileSettings, shown } from "../../trainer/settings/check.ts";
import { SETTINGS, type TrainConfig } from "../../trainer/settings/settings.ts";
import { readFile } from "./userFile.ts";

/** A file of all settings has about two kilobytes and three levels. */
const LIMITS = { bytes: 1 << 20, depth: 8 } as const;

/** Reads a file of settings, in which null stands for the default. Throws a UsageError. */
export async function readSettings(path: string): Promise<FileSettings> {
  const found = Object.entries(await readObject(path, 'settings as JSON, like {"epochs": 100}'));
  const here = found.map(([name, value]) => [name, typeof value === "string" ? fromHome(value) : value]);
  const { settings, problems } = checkSettings(Object.fromEntries(here) as object);
  refuseProblems(path, problems);
  return settings;
}

/** Throws a UsageError that lists all mistakes in the file of --config; does nothing without any. */
export function refuseProblems(path: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  if (problems.length === 1) throw new UsageError(`--config ${path}: ${problems[0]}`);
  throw new UsageError(`--config ${path}: ${problems.length} mistakes:\n  ${problems.join("\n  ")}`);
}

/**
 * Returns the settings in a file that apply to a stage: from a teacher's file for a student, those that both
 * have.
 */
export function ofThisStage(file: FileSettings, stage: string | undefined): FileSettings {
  if (stage === undefined || file.stage === undefined || stage === file.stage) return file;
  const { method: _m, modality: _s, teacherModality: _c, teacher: _t, init: _i, ...rest } = file;
  const { control: _, ...shared } = rest;
  return shared;
}

/** Reads an object from the JSON file of --config; `expected` names it. Throws a UsageError. */
export async function readObject(path: string, expected: string): Promise<object> {
  const refuse = (why: string): never => {
    throw new UsageError(`--config ${path}: expected ${expected}, got ${why}`);
  };
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) =>
    refuse(error.code === "ENOENT" ? "no file" : `an error: ${error.message}`),
  );
  let found: unknown;
  try {
    const text = textOf(bytes, `--config ${path}`, LIMITS.bytes);
    found = JSON.parse(text);
    const twice = duplicateKey(text, LIMITS.depth);
    if (twice !== null) refuse(`the name ${twice} twice: remove one`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (error instanceof DataError) throw new UsageError(error.message);
    refuse(`text that is not valid JSON: ${jsonFault(error)}`);
  }
  if (typeof found === "object" && found !== null && !Array.isArray(found)) return found;
  return refuse(shown(found));
}

/**
 * Parses a run's config.json, with defaults for settings that an older version did not have; null for other
 * text.
 */
export function parseConfig(text: string, defaults: Partial<TrainConfig>): TrainConfig | null {
  try {
    const found = JSON.parse(text) as TrainConfig;
    const known = Object.entries(found).filter(([name]) => Object.hasOwn(SETTINGS, name));
    if (checkSettings(Object.fromEntries(known)).problems.length) return null;
    const { stage, method, data, out } = found;
    return stage && method && data && out ? { ...defaults, ...found } : null;
  } catch {
    return null;
  }
}
