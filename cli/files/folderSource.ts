// A folder as a Source of data: the only place where data/ meets the file system.

import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, join, relative, resolve, sep } from "node:path";
import { DataError } from "../../data/errors.ts";
import type { Source } from "../../data/datasets/datasets.ts";

/** The files of a folder; throws a DataError if it does not exist. Links that lead out of it are refused. */
export async function folderSource(folder: string): Promise<Source> {
  const found = await stat(folder).catch(() => null);
  if (!found?.isDirectory())
    throw new DataError(`${folder}: expected a folder, got ${found ? "a file" : "nothing"}`);
  const root = await realpath(folder);
  return {
    name: basename(resolve(folder)),
    list: async () =>
      (await readdir(root, { withFileTypes: true, recursive: true }))
        .filter((entry) => !entry.isDirectory())
        .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/")),
    read: async (path) => {
      const file = await realpath(join(root, path)).catch(() => {
        throw new DataError(`${path}: expected a file in ${folder}, got none`);
      });
      if (!file.startsWith(root + sep))
        throw new DataError(`${path}: expected a file in ${folder}, got a link that leads out of it`);
      return readFile(file);
    },
  };
}
