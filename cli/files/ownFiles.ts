// Files that this program wrote itself and reads back. A failing disk, a copy that was cut short or an editor
// may have damaged them, so they are checked like the files of others.

import { join } from "node:path";
import { DataError } from "../../data/errors.ts";
import { type OwnFile, parseOwn } from "../../data/datasets/json.ts";
import { EPOCH_RECORD, type EpochRecord } from "../../trainer/loop/records.ts";
import { warn } from "../terminal/console.ts";
import { readFile } from "../terminal/userFile.ts";

/** The text of a file; null without the file. Throws a DataError where it cannot be read. */
export async function ownText(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw new DataError(`${path}: expected a file that can be read, got ${error.code ?? error.message}`);
  });
}

/** The content of a file; null without the file. Throws a DataError that names the file and a remedy. */
export async function readOwn<Content>(path: string, kind: OwnFile<Content>): Promise<Content | null> {
  const text = await ownText(path);
  return text === null ? null : parseOwn(text, path, kind);
}

/** The warnings that were given. */
const told = new Set<string>();

/**
 * Returns the result of `read`; null, with one warning, where it throws a DataError: for files that decorate
 * a report, and should not end it.
 */
export async function ifSound<Content>(read: () => Promise<Content>): Promise<Content | null> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    warnOnce(`skipped: ${error.message}`);
    return null;
  }
}

function warnOnce(line: string): void {
  if (told.has(line)) return;
  told.add(line);
  warn(line);
}

/**
 * The epochs in the file metrics.jsonl of a stage's folder; none without it. They are for charts and tables,
 * and no training depends on them: a damaged line is skipped, with a warning. A last line that a crash cut,
 * or that is being written, is skipped too.
 */
export async function readRecords(folder: string): Promise<EpochRecord[]> {
  const path = join(folder, "metrics.jsonl");
  const lines = ((await ifSound(() => ownText(path))) ?? "").split("\n");
  lines.pop(); // "" after a whole last line
  const found = lines.map((line) => (line === "" ? null : recordIn(line)));
  const damaged = found.flatMap((record, i) => (record || lines[i] === "" ? [] : [i + 1]));
  if (damaged.length) {
    const which =
      damaged.length === 1 ? `line ${damaged[0]!}` : `${damaged.length} lines, from ${damaged[0]!} on`;
    warnOnce(`${path}: ${which}: damaged: charts and tables are made without`);
  }
  return found.filter((record) => record !== null);
}

/** The record of an epoch in a line; null in a damaged one. */
export function recordIn(line: string): EpochRecord | null {
  try {
    return parseOwn(line, "", EPOCH_RECORD);
  } catch {
    return null;
  }
}
