// The user's own cases for a training, and whether a folder that is chosen again is the same one: a page may
// not keep a folder over a reload, only what it is known again by.

import { DataError } from "../../data/errors.ts";
import { SPLIT_FILE } from "../../data/datasets/splits.ts";
import type { NamedFile, Recognised } from "../worker/protocol.ts";
import type { OwnData } from "./trainProtocol.ts";

const NAMED = 3; // files that a message names

/** A folder's cases as the user left them. */
export interface OwnFolder {
  name: string;
  files: readonly NamedFile[];
  recognised: Recognised;
}

/** The part of a folder that a run saves. Throws a DataError if the meaning of its labels is not chosen. */
export function ownData({ name, files, recognised }: OwnFolder): OwnData {
  const rows = recognised.rows.filter(({ role }) => role !== "unused");
  const used = new Set([SPLIT_FILE, ...rows.map(({ path }) => path)]);
  const sizes = files
    .filter(({ path }) => used.has(path))
    .map(({ path, file }) => [path, file.size] as const);
  const { convention } = recognised;
  if (!convention)
    throw new DataError("labels: expected one meaning, got names that do not show it: choose it below");
  return { kind: "files", rows, convention, folder: name, sizes: Object.fromEntries(sizes) };
}

/**
 * Throws a DataError that names files unless the folder holds all that the run was begun with, in the same
 * sizes.
 */
export function checkSameFolder({ folder, sizes }: OwnData, { name, files }: OwnFolder): void {
  const found = new Map(files.map(({ path, file }) => [path, file.size]));
  const paths = [...new Set([...Object.keys(sizes), SPLIT_FILE])];
  const others = paths.filter((path) => found.get(path) !== sizes[path]);
  if (!others.length) return;
  const bytes = (size: number | undefined) => (size === undefined ? "no file" : `${size} bytes`);
  const lines = others
    .slice(0, NAMED)
    .map((path) => `${path}: expected ${bytes(sizes[path])}, got ${bytes(found.get(path))}`);
  if (others.length > NAMED) lines.push(`and ${others.length - NAMED} files more`);
  const what = `${name}: is not the folder that this training was begun with`;
  throw new DataError(`${what} (${lines.join("; ")}): choose the folder ${folder}, or begin anew with Start`);
}
