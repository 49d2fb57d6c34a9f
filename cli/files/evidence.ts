// The folder of evidence: a small JSON for each finished arm of a study. Its name ends with a digest of all
// that an arm's result depends on, so that an arm with other settings is another file.

import { join } from "node:path";
import { sha256 } from "../../data/digest.ts";
import { unusedSettings } from "../../model/methods/index.ts";
import {
  type ArmData,
  type ArmRecord,
  readRecord,
  writeRecord,
} from "../../trainer/experiments/armRecord.ts";
import { type Arm, armTitle } from "../../trainer/experiments/study.ts";
import type { TrainConfig } from "../../trainer/settings/config.ts";
import { ROWS } from "../../trainer/settings/settings.ts";
import { writeAtomically } from "./files.ts";
import { readFile } from "../terminal/userFile.ts";

/** Settings that name the arm or its files, or that a record has under other names. */
const ELSEWHERE = new Set<string>([
  ...[
    "stage",
    "method",
    "modality",
    "seed",
    "data",
    "out",
    "split",
    "teacher",
    "init",
    "initEncoder",
    "control",
  ],
  ...["teacherModality", "unlabelled"],
]);

/** Tells whether a setting that records of earlier versions lack has no effect, as in those. */
function isIdle(name: string, { unlabelled, prototypes }: TrainConfig): boolean {
  return name === "unlabelledWeight" ? unlabelled === null : name === "prototypes" && prototypes === "label";
}

/**
 * The settings of the method and its training that a result depends on. Those that are off (null, false, or
 * without effect) are not among them, so that a setting which a later version adds leaves the names of
 * earlier records as they are.
 */
export function countedSettings(config: TrainConfig): Record<string, unknown> {
  const unused = unusedSettings(config.method);
  const counted = ROWS.filter(
    ([name, row]) =>
      row.counts !== false && !ELSEWHERE.has(name) && !unused.includes(name) && !isIdle(name, config),
  );
  const values = counted.map(([name]) => [name, config[name]] as const);
  return Object.fromEntries(values.filter(([, value]) => value !== null && value !== false));
}

/** The name of an arm's record without its ending; also that of its folder under --out. */
export async function armKey(
  arm: Arm,
  recorded: ArmData,
  settings: Readonly<Record<string, unknown>>,
): Promise<string> {
  const { method, control, modality, seed } = arm;
  const identity = JSON.stringify({ method, control, modality, seed, data: recorded, settings });
  const digest = await sha256(new TextEncoder().encode(identity));
  const slug = `${armTitle(arm)} ${modality} seed ${seed}`.toLowerCase().replace(/[^a-z0-9.]+/g, "-");
  return `${slug}-${digest.slice(0, 10)}`;
}

/** Reads an arm's record; null where it is not finished. Throws a DataError for another file. */
export async function readEvidence(folder: string, key: string): Promise<ArmRecord | null> {
  const path = join(folder, `${key}.json`);
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  return bytes && readRecord(bytes, path);
}

/** Writes an arm's record, whole or not at all. */
export function writeEvidence(folder: string, key: string, record: ArmRecord): Promise<void> {
  return writeAtomically(join(folder, `${key}.json`), writeRecord(record));
}
