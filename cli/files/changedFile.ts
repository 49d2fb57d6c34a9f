// Compares the files of a data set with the manifest of a finished run, without reading more than it must.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { filesOf, parseManifest, recordOf, sameScan } from "../../data/datasets/manifest.ts";
import { sha256 } from "../../data/digest.ts";
import type { Source } from "../../data/datasets/source.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { say } from "../terminal/console.ts";
import type { RunData } from "./cases.ts";
import { realPath } from "./inputs.ts";

/** The checksums of files that this process has read, for the next stage of the same data. */
const checksums = new Map<string, Promise<string>>();

/**
 * The first file of `data`, in the folder `root`, that holds another scan or label than the manifest says;
 * null where all are the same, or without a manifest. In a folder that was `moved` every file is read;
 * otherwise only those that were modified after the manifest was written.
 */
export async function changedFile(
  manifest: string,
  { source, dataset }: Pick<RunData, "source" | "dataset">,
  root: string,
  moved: boolean,
): Promise<string | null> {
  const text = await readFile(manifest, "utf8").catch(() => null);
  if (text === null) return null;
  const written = (await stat(manifest)).mtimeMs;
  const place = await realPath(root);
  const now = new Map(dataset.cases.map((found) => [found.id, found]));
  let told = false;
  for (const record of parseManifest(text)) {
    const found = now.get(record.id);
    for (const [key, file] of filesOf(record)) {
      const role = key.slice(record.id.length + 1);
      const image = found?.images[role as keyof typeof found.images];
      const path = role === "label" ? found?.label : image?.path;
      if (path === undefined) return file.path;
      if (!moved && (await untouched(join(root, path), file.bytes, written))) continue;
      if (!told) say(`  comparing the files in ${root} with ${manifest}`);
      told = true;
      const checksum = checksums.get(join(place, path)) ?? checksumOf(source, path);
      checksums.set(join(place, path), checksum);
      const sameChannel = (image?.channel ?? 0) === (file.channel ?? 0);
      if (sameChannel && (await checksum) === file.sha256) continue;
      const { sha256: _, ...fresh } = await readRecord(source, path);
      if (!sameScan({ ...file, ...fresh, channel: image?.channel ?? 0 }, file)) return path;
    }
  }
  return null;
}

async function untouched(path: string, bytes: number, since: number): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found?.size === bytes && found.mtimeMs <= since;
}

async function checksumOf(source: Source, path: string): Promise<string> {
  return sha256(await source.read(path));
}

async function readRecord(source: Source, path: string) {
  const bytes = await source.read(path);
  return recordOf(path, bytes, await readNifti(bytes, path));
}
