// Reads files whose names come from a user. A pipe, a socket or a device is refused by name: reading it might
// never end, and nothing could stop it.

import { type Dirent, type Stats } from "node:fs";
import { readFile as read, stat } from "node:fs/promises";
import { DataError } from "../../data/errors.ts";

/**
 * Reads a file as readFile() of Node does, its links followed. Throws a DataError for what is neither a file
 * nor a folder; its `code` says what it is, for messages such as "expected a checkpoint, got a pipe".
 */
export function readFile(path: string): Promise<Buffer>;
export function readFile(path: string, encoding: "utf8"): Promise<string>;
export async function readFile(path: string, encoding?: "utf8"): Promise<Buffer | string> {
  await checkFile(path);
  return read(path, encoding);
}

/** Throws a DataError for what is neither a file nor a folder, and the system's error for nothing. */
export async function checkFile(path: string): Promise<void> {
  const found = await stat(path);
  if (found.isFile() || found.isDirectory()) return;
  const code = kindOf(found);
  throw Object.assign(new DataError(`${path}: expected a file, got ${code}: name a file`), { code });
}

/** Names the thing in place of a file: a pipe, a socket or a device. */
export function kindOf(entry: Dirent | Stats): string {
  if (entry.isFIFO()) return "a pipe";
  return entry.isSocket() ? "a socket" : "a device";
}
