// Writes files that are whole or not there at all: under a temporary name, synced to the disk, then renamed.

import { randomBytes } from "node:crypto";
import { link, mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DISK_FAULTS } from "../terminal/diskFaults.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { checkHeld } from "./lock.ts";

/** The disk cannot be written to; the previous content is intact. */
export class DiskError extends Error {
  override readonly name = "DiskError";
}

/**
 * Writes a file, and makes its folder; at any moment, a reader or a crash finds the old content or the new. A
 * replaced file keeps its permissions. Throws a DiskError if the disk is full or not writable, and like all
 * that writes here a BusyError if the file is in a folder whose lock was taken over.
 */
export async function writeAtomically(path: string, content: string | Uint8Array): Promise<void> {
  const folder = dirname(path);
  await onDisk(path, async () => {
    await mkdir(folder, { recursive: true });
    const temporary = temporaryOf(path);
    try {
      const file = await open(temporary, "w");
      try {
        const replaced = await stat(path).catch(() => null);
        if (replaced) await file.chmod(replaced.mode);
        await file.writeFile(content);
        await file.sync();
      } finally {
        await file.close();
      }
      await checkHeld(path); // last, for a large file takes a while
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined); // a disk that fails may fail here too
      throw error;
    }
    await syncFolder(folder);
  });
}

/** Adds a line to a file and syncs it to the disk. A crash may leave a part of the line. */
export async function appendLine(path: string, line: string): Promise<void> {
  await onDisk(path, async () => {
    await checkHeld(path);
    const file = await open(path, "a");
    try {
      await file.writeFile(`${line}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  });
}

/**
 * Gives the file `path` the second name `second`, replacing a file of that name. Both are whole files at
 * every moment; on a file system without links, `path` is missing until it is written again.
 */
export async function keepAs(path: string, second: string): Promise<void> {
  const temporary = temporaryOf(second);
  await onDisk(second, async () => {
    await checkHeld(second);
    try {
      await link(path, temporary);
    } catch {
      await rename(path, second); // a file system without links
      return;
    }
    await rename(temporary, second);
    await rm(temporary, { force: true }); // rename() leaves it if both names were the same file already
  });
}

/** Removes a folder's temporary files, and returns their names. Nobody else may be writing there. */
export async function removeTemporaries(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const stray = names.filter((name) => TEMPORARY.test(name));
  for (const name of stray) await rm(join(folder, name), { force: true });
  return stray;
}

/** True for the name of a file that is being written. */
export function isTemporary(name: string): boolean {
  return TEMPORARY.test(name);
}

const TEMPORARY = /^\..*\.(\d+|[\da-f]{12})\.tmp$/; // the number is the pid, of older versions

/** A name to write a file under, beside it: a random one, since two containers' processes may share a pid. */
function temporaryOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
}

/**
 * Tries to write where the file `path` will be, or the nearest folder above it that exists, so that hours of
 * work do not end in vain. Throws a DiskError that names the `flag` to choose another place with, and a
 * UsageError if a folder is in the file's place, or a file in that of a folder.
 */
export async function checkWritable(path: string, flag: string): Promise<void> {
  if ((await stat(path).catch(() => null))?.isDirectory())
    throw new UsageError(`${flag}: expected a file, got the folder ${path}`);
  let folder = dirname(path);
  while (!(await exists(folder)) && dirname(folder) !== folder) folder = dirname(folder);
  if (!(await stat(folder)).isDirectory())
    throw new UsageError(`${flag}: expected a folder in place of the file ${folder}`);
  const probe = temporaryOf(join(folder, basename(path)));
  try {
    await (await open(probe, "wx")).close();
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    const why = DISK_FAULTS[code] ?? "nothing can be written there";
    throw new DiskError(`${flag} ${path}: cannot be written (${code}): ${why}`, { cause: error });
  } finally {
    await rm(probe, { force: true }).catch(() => undefined);
  }
}

/** Throws a DiskError unless a folder's disk has room for so many bytes. The folder itself need not exist. */
export async function checkRoom(folder: string, bytes: number, what: string): Promise<void> {
  let place = folder;
  while (!(await exists(place)) && dirname(place) !== place) place = dirname(place);
  const disk = await statfs(place).catch(() => null);
  if (!disk || disk.blocks === 0) return; // file systems without a size of their own
  const free = disk.bavail * disk.bsize;
  if (free >= bytes) return;
  throw new DiskError(
    `${folder}: ${what} need some ${megabytes(bytes)}, and the disk has ${megabytes(free)} left: ` +
      "free some space, or choose another --out",
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** True if there is a file or folder of this path. */
export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

/** Syncs a folder's list of files to the disk. Windows does that by itself, and refuses the call. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Runs `write`; an error of the disk becomes a DiskError about `path`. */
async function onDisk<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (!Object.hasOwn(DISK_FAULTS, code)) throw error;
    const why = `${path}: could not be written (${code}): ${DISK_FAULTS[code]}; the previous content is intact`;
    throw new DiskError(why, { cause: error });
  }
}
