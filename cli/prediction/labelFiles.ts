// The names of label files, and the label maps `<case>.nii.gz` of a plain folder.

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../../data/errors.ts";
import { normal, readingsOf } from "../../data/datasets/names.ts";
import { isHidden } from "../../data/datasets/source.ts";
import { put } from "../../data/groups.ts";

/** The name of a case's prediction. */
export function labelFile(id: string): string {
  return `${id}.nii.gz`;
}

/** The name of a case's probabilities. */
export function probabilitiesFile(id: string): string {
  return `${id}_probabilities.nii.gz`;
}

const EXTENSION = /\.nii(\.gz)?$/i;
const MARK = /[_-]seg$/i;

/**
 * Returns the label maps `<case>.nii[.gz]` or `<case>_seg.nii[.gz]` directly in a folder, by case. If some
 * are marked `_seg`, images with the name of a contrast do not count. Throws a DataError that names the files
 * of each case that has two.
 */
export async function labelMaps(folder: string): Promise<Map<string, string>> {
  const names = await volumesIn(folder);
  const isMarked = (name: string) => MARK.test(name.replace(EXTENSION, ""));
  const isImage = (name: string) => readingsOf(name).some(({ role }) => role !== "label");
  const anyMarked = names.some(isMarked);
  const found = new Map<string, string[]>();
  for (const name of names) {
    if (anyMarked && !isMarked(name) && isImage(name)) continue;
    const id = caseOf(name);
    put(found, id, name);
  }
  return new Map([...onlyOne(folder, found)].map(([id, name]) => [id, join(folder, name)]));
}

/** Returns the case of a label file, in Unicode's form NFC. */
export function caseOf(name: string): string {
  return normal(name.replace(EXTENSION, "").replace(MARK, ""));
}

/** Returns the label file of each case. Throws a DataError that names the files of each case that has two. */
export function onlyOne(folder: string, found: ReadonlyMap<string, readonly string[]>): Map<string, string> {
  const several = [...found].filter(([, names]) => names.length > 1);
  if (several.length)
    throw new DataError(
      several.map(
        ([id, names]) =>
          `case ${id}: expected one label file in ${folder}, got ${names.join(" and ")}: remove one`,
      ),
    );
  return new Map([...found].map(([id, [name]]) => [id, name!]));
}

/**
 * Returns the names of the volumes directly in a folder, without probabilities. Throws a DataError for a
 * folder that cannot be read.
 */
export async function volumesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    const got = error.code === "ENOENT" ? "nothing" : (error.code ?? error.message);
    throw new DataError(`${folder}: expected a folder that can be read, got ${got}`);
  });
  const volumes = names.filter(
    (name) => EXTENSION.test(name) && !isHidden(name) && !name.endsWith(probabilitiesFile("")),
  );
  const folders = await Promise.all(
    volumes.map(async (name) => (await stat(join(folder, name)).catch(() => null))?.isDirectory() ?? false),
  );
  return volumes.filter((_, i) => !folders[i]).sort();
}
