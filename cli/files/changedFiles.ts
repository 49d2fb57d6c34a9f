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

/** The checksums of files that this process has read, for the next stage of the same data. By path and time. */
const checksums = new Map<string, Promise<string>>();

const ENOUGH = 5; // changed files: a folder with so many holds other data, and the rest need not be read

/**
 * The files of a data set, in the folder `root`, that hold another scan or label than the manifest says; none
 * without a manifest. In a folder that was `moved` every file is read, up to the fifth that differs; otherwise
 * only those that were modified after the manifest was written.
 */
export async function changedFiles(
  manifest: string,
  { source, dataset }: Pick<RunData, "source" | "dataset">,
  root: string,
  moved: boolean,
): Promise<string[]> {
  const text = await readFile(manifest, "utf8").catch(() => null);
  if (text === null) return [];
  const written = (await stat(manifest)).mtimeMs;
  const place = await realPath(root);
  const now = new Map(dataset.cases.map((found) => [found.id, found]));
  const changed = new Set<string>();
  let told = false;
  for (const record of parseManifest(text)) {
    const found = now.get(record.id);
    for (const [key, file] of filesOf(record)) {
      const role = key.slice(record.id.length + 1);
      const image = found?.images[role as keyof typeof found.images];
      const path = role === "label" ? found?.label : image?.path;
      if (moved && changed.size === ENOUGH) return [...changed];
      if (path === undefined) {
        changed.add(file.path);
        continue;
      }
      const { size, mtimeMs } = await stat(join(root, path));
      if (!moved && size === file.bytes && mtimeMs <= written) continue;
      if (!told) say(`  comparing the files in ${root} with ${manifest}`);
      told = true;
      const version = `${join(place, path)} ${size} ${mtimeMs}`;
      const checksum = checksums.get(version) ?? checksumOf(source, path);
      checksums.set(version, checksum);
      const sameChannel = (image?.channel ?? 0) === (file.channel ?? 0);
      if (sameChannel && (await checksum) === file.sha256) continue;
      const { sha256: _, ...fresh } = await readRecord(source, path);
      if (!sameScan({ ...file, ...fresh, channel: image?.channel ?? 0 }, file)) changed.add(path);
    }
  }
  return [...changed];
}

async function checksumOf(source: Source, path: string): Promise<string> {
  return sha256(await source.read(path));
}

async function readRecord(source: Source, path: string) {
  const bytes = await source.read(path);
  return recordOf(path, bytes, await readNifti(bytes, path));
}
