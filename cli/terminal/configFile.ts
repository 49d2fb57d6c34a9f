// A file of settings, --config FILE: JSON with the names of settings.ts, such as a run's own config.json. All that
// is wrong with it comes in one message.

import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { duplicateKey } from "../../model/files/jsonKeys.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { onOff } from "../../model/settings/kinds.ts";
import { type Said, type SettingName, SETTINGS, type TrainConfig } from "../../trainer/settings/settings.ts";

/** What a file may say: any settings, and that the rest is the published code's. */
export type FileSettings = Said & { parity?: boolean };

/** A file of all settings, written by hand, has two kilobytes and three levels. */
const LIMITS = { bytes: 1 << 20, depth: 8 } as const;

const KINDS = { ...SETTINGS, parity: onOff() };

/** The settings of a file; null there is the same as not to say it. Throws a UsageError. */
export async function readSettings(path: string): Promise<FileSettings> {
  const { settings, problems } = checkSettings(await readObject(path));
  if (problems.length === 0) return settings;
  if (problems.length === 1) throw new UsageError(`--config ${path}: ${problems[0]}`);
  throw new UsageError(`--config ${path}: ${problems.length} mistakes:\n  ${problems.join("\n  ")}`);
}

/** The settings that an object holds, without those that are null, and what is wrong with the others. */
export function checkSettings(found: object): { settings: FileSettings; problems: string[] } {
  const problems: string[] = [];
  const settings: [string, unknown][] = [];
  for (const [name, value] of Object.entries(found)) {
    if (!Object.hasOwn(KINDS, name)) problems.push(`${name}: no setting has this name${nearest(name)}`);
    else if (!v.is(KINDS[name as SettingName].schema, value))
      problems.push(`${name}: expected ${KINDS[name as SettingName].expected}, got ${shown(value)}`);
    else if (value !== null) settings.push([name, value]);
  }
  return { settings: Object.fromEntries(settings) as FileSettings, problems };
}

/**
 * A file's settings for the run that flags ask for. A file of another stage, as a teacher's config.json for a student, says
 * nothing about what is the stage's own.
 */
export function ofThisStage(file: FileSettings, stage: string | undefined): FileSettings {
  if (stage === undefined || file.stage === undefined || stage === file.stage) return file;
  const { method: _m, modality: _s, teacher: _t, init: _i, ...shared } = file;
  return shared;
}

async function readObject(path: string): Promise<object> {
  const refuse = (why: string): never => {
    throw new UsageError(`--config ${path}: expected settings as JSON, like {"epochs": 100}, got ${why}`);
  };
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) =>
    refuse(error.code === "ENOENT" ? "no file" : `an error: ${error.message}`),
  );
  if (bytes.length > LIMITS.bytes) refuse(`${bytes.length} bytes: at most ${LIMITS.bytes} are read`);
  const text = bytes.toString("utf8").replace(/^\uFEFF/, "");
  let found: unknown;
  try {
    found = JSON.parse(text);
    const twice = duplicateKey(text, LIMITS.depth);
    if (twice !== null) refuse(`the name ${twice} twice: say it once`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    refuse(`what is none: ${(error as Error).message}`);
  }
  if (typeof found === "object" && found !== null && !Array.isArray(found)) return found;
  return refuse(shown(found));
}

/** A value as JSON, shortened. */
function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** ": did you mean kdWeight?", of the known name that is most like it, or else all names. */
function nearest(name: string): string {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const wanted = plain(name.slice(0, 64));
  const known = Object.keys(KINDS);
  const distances = known.map((other) => editDistance(wanted, plain(other)));
  const least = Math.min(...distances);
  if (least > Math.max(1, Math.min(3, wanted.length / 3))) return `: known are ${known.join(", ")}`;
  return `: did you mean ${known[distances.indexOf(least)]}?`;
}

/** How many letters have to be put in, left out, replaced or swapped with the next to make b of a. */
function editDistance(a: string, b: string): number {
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + Number(a[i - 1] !== b[j - 1]);
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, replaced);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) row[j] = Math.min(row[j]!, before[j - 2]! + 1);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}

/** The configuration that a run wrote down, or null if it is none. What an older run does not say was as by default. */
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
