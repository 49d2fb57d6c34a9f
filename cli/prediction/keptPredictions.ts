// The predictions that a folder holds already, and those of them that predict --continue keeps: these were
// made from the same files in the same way.

import { readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Dataset } from "../../data/datasets/datasets.ts";
import { DataError } from "../../data/errors.ts";
import { UsageError } from "../../model/settings/errors.ts";
import type { InputChecksums } from "./inputChecksums.ts";
import { labelFile, probabilitiesFile } from "./labelFiles.ts";
import { type CaseRecord, parsed, RECORD, type Record } from "./predictionRecord.ts";
import { readFile } from "../terminal/userFile.ts";

/** The predictions that a folder holds already. */
export interface Predicted {
  /** The cases to keep, whose files are all there: each was written whole, the label last. */
  finished: Set<string>;
  /** The folder's record; null if it has none that can be read. */
  record: Record | null;
}

/**
 * Finds the predictions of a data set that a folder holds already, to `keep` or to `overwrite` them. Throws a
 * UsageError if a prediction would replace a file of the input, or, without either flag, another prediction.
 */
export async function findPredicted(
  { cases }: Dataset,
  options: { input: string; output: string; probabilities: boolean; overwrite: boolean; keep: boolean },
): Promise<Predicted> {
  const { input, output, probabilities, overwrite, keep } = options;
  const held = new Set(
    await readdir(output).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw new UsageError(`--output ${output}: expected a folder or a new path, got ${error.code}`);
    }),
  );
  const names = (id: string) => (probabilities ? [labelFile(id), probabilitiesFile(id)] : [labelFile(id)]);
  checkDistinct(cases.map(({ id }) => ({ id, files: names(id) })));
  const present = cases.flatMap(({ id }) => names(id)).filter((name) => held.has(name));
  const inputs = cases.flatMap(({ images, label }) => [
    ...Object.values(images).map(({ path }) => path),
    ...(label === undefined ? [] : [label]),
  ]);
  const real = (path: string) => realpath(path).catch(() => path);
  const sources = present.length
    ? new Set(await Promise.all(inputs.map((path) => real(join(input, path)))))
    : new Set<string>();
  for (const name of present) {
    if (!sources.has(await real(join(output, name)))) continue;
    throw new UsageError(`--output ${output}: ${name} in it belongs to the input: choose another folder`);
  }
  if (present.length && !overwrite && !keep) {
    throw new UsageError(
      `--output ${output}: holds ${present.join(", ")} already: keep them with --continue, choose another folder, ` +
        "or replace them with --overwrite",
    );
  }
  const complete = cases.map(({ id }) => id).filter((id) => names(id).every((name) => held.has(name)));
  const content = await readFile(join(output, RECORD), "utf8").catch(() => "");
  return { finished: new Set(keep ? complete : []), record: parsed(content) };
}

/**
 * Throws a DataError that names each two cases whose predictions would have one name, also where it differs
 * in upper and lower case alone, which some disks do not tell apart.
 */
export function checkDistinct(cases: readonly { id: string; files: readonly string[] }[]): void {
  const owners = new Map<string, string>();
  const problems: string[] = [];
  for (const { id, files } of cases)
    for (const file of files) {
      const key = file.toLowerCase();
      const other = owners.get(key);
      if (other === undefined) owners.set(key, id);
      else if (other !== id)
        problems.push(`cases ${other} and ${id}: both would be written to ${file}: rename one of them`);
    }
  if (problems.length) throw new DataError(problems);
}

/** The records of the cases that are kept, by name, and lines for the user. */
export interface Kept {
  records: Map<string, CaseRecord>;
  notes: string[];
}

/**
 * Finds the cases to keep among the finished ones: those whose input is the same as then. Notes tell which
 * cases are predicted again, because files changed, or because contrasts that the networks would see were
 * not there then; and which are kept although an older version did not record checksums. Throws a UsageError
 * if a case with the same input was predicted with other settings than it would be now.
 */
export async function finishedRecords(
  { finished, record }: Predicted,
  wanted: readonly CaseRecord[],
  output: string,
  checksums: InputChecksums,
): Promise<Kept> {
  const refuse: (what: string) => never = (what) => {
    const remedy = "choose another folder, or replace all predictions with --overwrite";
    throw new UsageError(`--continue: ${what}, or ${remedy} (--output ${output})`);
  };
  const before = new Map(record?.cases.map((one) => [one.case, one]));
  const records = new Map<string, CaseRecord>();
  const [stale, unknown]: [string[], string[]] = [[], []];
  for (const now of wanted) {
    if (!finished.has(now.case)) continue;
    const then = before.get(now.case);
    if (!then) return refuse(`${RECORD} does not record how ${labelFile(now.case)} was made: restore it`);
    if (then.seconds === null) continue; // the label is from before that record
    const changed = await checksums.changed(now.case, then.inputs ?? {});
    const added = now.sees!.filter((m) => !then.modalities.includes(m)).map((m) => `${m} added`);
    if (changed.length + added.length) {
      stale.push(`${now.case} (${[...changed, ...added].join(", ")})`);
      continue;
    }
    const differing = differences(then, now);
    if (differing.length)
      refuse(`${labelFile(now.case)} was made differently: ${differing.join(", ")}: use the same again`);
    records.set(now.case, then);
    if (!then.inputs) unknown.push(now.case);
  }
  return { records, notes: notesOn(stale, unknown) };
}

/** Names with commas between; long lists are cut. */
function listed(names: readonly string[]): string {
  return names.slice(0, 20).join(", ") + (names.length > 20 ? ` and ${names.length - 20} more` : "");
}

function notesOn(stale: readonly string[], unknown: readonly string[]): string[] {
  const notes = stale.length ? [`predicted again, because their input changed since: ${listed(stale)}`] : [];
  if (unknown.length) {
    notes.push(
      `kept, although an older version predicted them and did not record whether their input is the same: ` +
        `${listed(unknown)}: to be sure, predict them in another folder, or all again with --overwrite`,
    );
  }
  return notes;
}

/** The differences of two ways of predicting a case: `model teacher, now student_t1`. */
function differences(then: CaseRecord, now: CaseRecord): string[] {
  const networks = ({ checkpoints }: CaseRecord) =>
    JSON.stringify(checkpoints.map(({ checksum, window }) => [checksum, window]));
  const same = networks(then) === networks(now); // folders may have been renamed
  const settings = (["labels", "affine", "step", "mirror", "model", "postprocessing"] as const).flatMap(
    (key) =>
      then[key] === now[key] || (key === "model" && same)
        ? []
        : [`${key} ${String(then[key])}, now ${String(now[key])}`],
  );
  const seen = ({ sees = now.sees }: CaseRecord) => sees!.join(", ");
  if (same && seen(then) !== seen(now)) settings.push(`contrasts ${seen(then)}, now ${seen(now)}`);
  if (settings.length || same) return settings;
  const windows = ({ checkpoints }: CaseRecord) => checkpoints.map(({ window }) => window).join(", ");
  return windows(then) === windows(now)
    ? ["another checkpoint"]
    : [`window ${windows(then)}, now ${windows(now)}`];
}
