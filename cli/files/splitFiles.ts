// The file or folder of --split: JSON, or lists of names that lie side by side.

import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DataError } from "../../data/errors.ts";
import { textOf } from "../../data/datasets/json.ts";
import {
  type ListedSplit,
  listsBeside,
  type Missing,
  parseSplitFiles,
} from "../../data/datasets/splitLists.ts";
import type { Source } from "../../data/datasets/source.ts";
import { SPLIT_FILE } from "../../data/datasets/splits.ts";
import { readFile } from "../terminal/userFile.ts";

/**
 * Reads the split in a file or folder, for the cases `known`: a folder's split.json or its lists, and with a
 * list those beside it. A file of a data set is read through its `source`. Throws a DataError.
 */
export async function readSplitFiles(
  path: string,
  known: readonly string[],
  missing: Missing,
  source?: Source,
): Promise<ListedSplit> {
  const isFolder = (await stat(path).catch(() => null))?.isDirectory() ?? false;
  const folder = isFolder ? path : dirname(path);
  const names = (await readdir(folder).catch(() => [])).sort();
  const chosen =
    isFolder && names.includes(SPLIT_FILE)
      ? [SPLIT_FILE]
      : listsBeside(names, isFolder ? null : basename(path), path);
  if (chosen.length === 1) {
    const file = isFolder ? join(path, chosen[0]!) : path;
    return parseSplitFiles([{ name: file, text: await readText(file, source) }], known, missing);
  }
  const texts = chosen.map(async (name) => ({ name, text: await readText(join(folder, name), source) }));
  return parseSplitFiles(await Promise.all(texts), known, missing);
}

async function readText(path: string, source?: Source): Promise<string> {
  if (source) return textOf(await source.read(basename(path)), path);
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT")
      throw new DataError(`${path}: expected a file that can be read, got ${error.code ?? error.message}`);
    throw new DataError(
      `${path}: expected a file with {"train": [...], "val": [...], "test": [...]}, nnU-Net's list of folds, or ` +
        "lists of names such as train_list.txt, got none",
    );
  });
  return textOf(bytes, path);
}
