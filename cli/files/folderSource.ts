// A folder as a Source of data: the only place where data/ meets the file system.

import { readdir, readlink, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import { DataError } from "../../data/errors.ts";
import type { Source } from "../../data/datasets/datasets.ts";
import { isHidden, type Unread } from "../../data/datasets/source.ts";
import { kindOf, readFile } from "../terminal/userFile.ts";

/**
 * The files of a folder, its links followed. Throws a DataError if the folder does not exist or may not be
 * read; a file that cannot be read is a DataError that names it.
 */
export async function folderSource(folder: string): Promise<Source> {
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error || !found.isDirectory())
    throw new DataError(
      `${folder}: expected a folder, got ${found instanceof Error ? absence(found) : "a file"}`,
    );
  let walk: Promise<Listing> | null = null;
  const listing = () => (walk ??= listFolder(folder));
  return {
    name: basename(resolve(folder)),
    list: async () => (await listing()).files,
    unread: async () => (await listing()).unread,
    read: (path) => {
      if (path.split("/").includes(".."))
        throw new Error(`folderSource: expected a path inside, got ${path}`);
      return readData(join(folder, path), path);
    },
    readAbove: async (name) => {
      const path = join(dirname(resolve(folder)), name);
      return (await stat(path).catch(() => null))?.isFile() ? readData(path, `../${name}`) : null;
    },
  };
}

interface Listing {
  files: string[];
  unread: Unread[];
}

/** The names of images: an empty folder of such a name stands in place of one. */
const IMAGE = /\.nii(\.gz)?$/i;

/**
 * Lists a folder. Links are followed, folders first where they are; one that is reached again by another
 * link is listed once, so that links may form circles.
 */
async function listFolder(folder: string): Promise<Listing> {
  const files: string[] = [];
  const unread: Unread[] = [];
  const links: string[] = [];
  const root = await realpath(folder);
  const listed = new Map<string, string>(); // the real paths of folders, and their names here
  const visit = async (path: string): Promise<void> => {
    listed.set(await realpath(join(folder, path)), path || ".");
    const entries = await readdir(join(folder, path), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = path ? `${path}/${entry.name}` : entry.name;
      if (isHidden(entry.name)) continue;
      if (entry.isDirectory()) {
        const before = files.length;
        await visit(name).catch((error: Error) => note(name, error));
        if (files.length === before && IMAGE.test(name)) files.push(name); // the problem of the case it is in
      } else if (entry.isSymbolicLink()) await follow(name);
      else if (entry.isFile()) files.push(name);
      else unread.push({ path: name, why: `is ${kindOf(entry)}, not a file` });
    }
  };
  const note = (path: string, error: NodeJS.ErrnoException) =>
    void unread.push({ path, why: `cannot be read (${reason(error)})` });
  const follow = async (path: string): Promise<void> => {
    const target = await stat(join(folder, path)).catch((error: NodeJS.ErrnoException) => error);
    if (!(target instanceof Error)) {
      if (target.isDirectory()) links.push(path);
      else if (target.isFile()) files.push(path);
      else unread.push({ path, why: `is a link to ${kindOf(target)}, not to a file` });
    } else {
      files.push(path); // a case may need it: then it is that case's problem
      unread.push({ path, why: await brokenLink(join(folder, path), target) });
    }
  };
  await visit("").catch((error: NodeJS.ErrnoException) => {
    throw new DataError(`${folder}: expected a folder that can be read, got ${reason(error)}`);
  });
  for (let link = links.shift(); link !== undefined; link = links.shift()) {
    const path = link;
    const real = await realpath(join(folder, path));
    const before = listed.get(real);
    if (before !== undefined) unread.push({ path, why: `is a link to ${before}, which is read already` });
    else if (`${root}${sep}`.startsWith(real.endsWith(sep) ? real : `${real}${sep}`))
      unread.push({ path, why: "is a link to a folder around this one" });
    else await visit(path).catch((error: Error) => note(path, error));
  }
  return { files, unread };
}

/** Reads a file. Throws a DataError for `name` if it cannot be read, or if its content is elsewhere. */
export async function readData(file: string, name: string): Promise<Uint8Array> {
  const bytes = await readFile(file).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === undefined) throw error;
    const linked = await readlink(file).catch(() => null);
    if (error.code === "ENOENT" && linked !== null)
      throw new DataError(`${name}: ${await brokenLink(file, error)}`);
    throw new DataError(`${name}: expected a file that can be read, got ${reason(error)}`);
  });
  const start = bytes.subarray(0, 64).toString("latin1");
  if (start.startsWith("/annex/objects/") || start.startsWith("version https://git-lfs"))
    throw new DataError(`${name}: ${NOT_HERE}`);
  return bytes;
}

const NOT_HERE = "its content is not here: get it (datalad get, git annex get, or git lfs pull)";

async function brokenLink(path: string, error: NodeJS.ErrnoException): Promise<string> {
  const target = await readlink(path).catch(() => "");
  if (error.code === "ENOENT") return target.includes("annex/objects/") ? NOT_HERE : "is a link to nothing";
  return `is a link that cannot be followed (${reason(error)})`;
}

/** Returns the thing in place of a folder. */
function absence(error: NodeJS.ErrnoException): string {
  return error.code === "ENOENT" || error.code === "ENOTDIR" ? "nothing" : reason(error);
}

/** The reason of a failed call, in words where it is a usual one. */
function reason({ code = "", message }: NodeJS.ErrnoException): string {
  return REASONS[code] ?? (code || message);
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "EACCES: you may not read it, change its permissions",
  EPERM: "EPERM: you may not read it, change its permissions",
  EIO: "EIO: the disk failed",
  EISDIR: "EISDIR: a folder",
  ENOENT: "nothing",
  ELOOP: "ELOOP: links that lead in a circle",
  ERR_FS_FILE_TOO_LARGE: "a file above 2 GiB",
};
