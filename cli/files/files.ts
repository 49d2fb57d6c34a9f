// Files that are there whole or not at all: written beside their place, brought to the disk, then renamed into it.

import { link, mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DISK_FAULTS } from "../terminal/command.ts";

/** A disk that cannot be written to; what was there before is intact. */
export class DiskError extends Error {
  override readonly name = "DiskError";
}

/**
 * Writes a file, and its folder; a reader, or a crash at any moment, finds the old content or the new. A file that is
 * replaced hands on its permissions. Throws a DiskError where the disk is full or may not be written to.
 */
export async function writeAtomically(path: string, content: string | Uint8Array): Promise<void> {
  const folder = dirname(path);
  await onDisk(path, async () => {
    await mkdir(folder, { recursive: true });
    const temporary = join(folder, `.${basename(path)}.${process.pid}.tmp`);
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
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined); // a disk that fails may fail here too
      throw error;
    }
    await syncFolder(folder);
  });
}

/** Adds a line to a file, and brings it to the disk. A crash may leave a part of it: see readLines(). */
export async function appendLine(path: string, line: string): Promise<void> {
  await onDisk(path, async () => {
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
 * Lets the file `path` be `second` too, in place of what `second` was. At every moment both are whole files, but where the
 * file system knows no links: there `path` is gone until it is written anew.
 */
export async function keepAs(path: string, second: string): Promise<void> {
  const temporary = join(dirname(second), `.${basename(second)}.${process.pid}.tmp`);
  await onDisk(second, async () => {
    await rm(temporary, { force: true });
    try {
      await link(path, temporary);
    } catch {
      await rename(path, second); // a file system without links: for a moment there is the second alone
      return;
    }
    await rename(temporary, second);
    await rm(temporary, { force: true }); // which is still there where both were one file
  });
}

/** Removes what writers that were killed left in a folder, and returns its names. Nobody else may be writing there. */
export async function removeTemporaries(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const stray = names.filter((name) => TEMPORARY.test(name));
  for (const name of stray) await rm(join(folder, name), { force: true });
  return stray;
}

/** Whether a name is that of a file in the making. */
export function isTemporary(name: string): boolean {
  return TEMPORARY.test(name);
}

const TEMPORARY = /^\..*\.\d+\.tmp$/;

/** Throws a DiskError unless a folder's disk has room for so many bytes. The folder, or one above it, is there. */
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

/** Whether there is a file or folder of this path. */
export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

/** Brings to the disk which files a folder has. Windows does so by itself, and refuses. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const DENIED = "it may not be written to: mend its permissions, or choose another";
const REASONS: Readonly<Record<string, string>> = { ...DISK_FAULTS, EACCES: DENIED, EPERM: DENIED };

/** Runs `write`; what the disk objects to becomes a DiskError about `path`. */
async function onDisk<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (!Object.hasOwn(REASONS, code)) throw error;
    throw new DiskError(
      `${path}: could not be written (${code}): ${REASONS[code]}; what was there is intact`,
      {
        cause: error,
      },
    );
  }
}
