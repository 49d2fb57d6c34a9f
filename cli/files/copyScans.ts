// Copies the images of some cases of a BraTS folder into a folder of their own, without labels. The copy is
// made under a temporary name and then renamed: a folder with the list of its cases is complete.

import { randomBytes } from "node:crypto";
import { copyFile, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { UsageError } from "../../model/settings/errors.ts";
import { checkFile, readFile } from "../terminal/userFile.ts";

const LIST = "cases.json";

/** Which cases to copy, and the two folders. */
export interface Copy {
  from: string;
  to: string;
  ids: readonly string[];
}

/**
 * Copies the files of each case but its label. Does nothing where `to` holds these cases already; several
 * processes may call it at once. Throws a UsageError where `to` holds others.
 */
export async function copyScans({ from, to, ids }: Copy): Promise<void> {
  if (await holds(to, ids)) return;
  const making = join(dirname(to), `.${basename(to)}.making-${randomBytes(6).toString("hex")}`);
  try {
    for (const id of ids) await copyImages(join(from, id), join(making, id));
    await writeFile(join(making, LIST), JSON.stringify(ids));
    await rename(making, to);
  } catch (error) {
    if (!(await holds(to, ids))) throw error; // else another process was faster
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

async function copyImages(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  const images = (await readdir(from)).filter((name) => !/_seg\.nii(\.gz)?$/.test(name));
  for (const name of images) {
    await checkFile(join(from, name));
    await copyFile(join(from, name), join(to, name));
  }
}

/** Tells whether a folder holds a finished copy of these cases. */
async function holds(folder: string, ids: readonly string[]): Promise<boolean> {
  const found = await readFile(join(folder, LIST), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (found === null || found === JSON.stringify(ids)) return found !== null;
  throw new UsageError(
    `${folder}: expected the scans of ${ids.length} cases, got those of another study: delete the folder, or ` +
      "choose another --out",
  );
}
