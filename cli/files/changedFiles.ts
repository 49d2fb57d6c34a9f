// Compares the files of a data set with the manifest of a finished run, without reading more than it must.

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { filesOf, parseManifest, recordOf, sameScan } from "../../data/datasets/manifest.ts";
import { sha256 } from "../../data/digest.ts";
import type { CaseFiles, Modality, Source } from "../../data/datasets/source.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { say } from "../terminal/console.ts";
import type { RunData } from "./cases.ts";
import { realPath } from "./inputs.ts";
import { readFile } from "../terminal/userFile.ts";

/** The checksums of files that this process has read, by path, size and time, for the next stage. */
const checksums = new Map<string, Promise<string>>();

const ENOUGH = 5; // changed files: a folder with so many holds other data, and the rest need not be read

/**
 * The files of a data set, in the folder `root`, that hold another scan or label than the manifest says; none
 * without a manifest. In a folder that was `moved` every file is read, up to the fifth that differs;
 * otherwise only those that were modified after the manifest was written.
 */
export async function changedFiles(
  manifest: string,
  { source, dataset }: Pick<RunData, "source" | "dataset">,
  root: string,
  moved: boolean,
): Promise<string[]> {
  const text = await readFile(manifest, "utf8").catch(() => null);
  if (text === null) return [];
  const place: Place = { source, root: await realPath(root) };
  const written = moved ? 0 : (await stat(manifest)).mtimeMs;
  const cases = new Map(dataset.cases.map((found) => [found.id, found]));
  const changed = new Set<string>();
  let told = false;
  const labelled = parseManifest(text).filter(({ unlabelled }) => !unlabelled); // which are elsewhere
  for (const record of labelled) {
    for (const [role, old] of filesOf(record)) {
      if (moved && changed.size === ENOUGH) return [...changed];
      const now = fileOf(cases.get(record.id), role);
      const version = now && (await versionOf(place, now.path));
      if (version && version.size === old.bytes && version.time <= written) continue;
      if (version && !told) say(`  comparing the files in ${root} with ${manifest}`);
      told ||= version !== undefined;
      if (!now || !(await isSame(old, now, place, version!))) changed.add(now?.path ?? old.path);
    }
  }
  return [...changed];
}

/** A data set's files, and the real path of its folder. */
interface Place {
  source: Source;
  root: string;
}

interface Version {
  size: number;
  /** When it was modified last, in ms. */
  time: number;
}

type Found = Parameters<typeof sameScan>[1];

/** A case's file of a contrast or its label; undefined where it has none. */
function fileOf(files: CaseFiles | undefined, role: string): { path: string; channel: number } | undefined {
  if (role !== "label") return files?.images[role as Modality];
  return files?.label === undefined ? undefined : { path: files.label, channel: 0 };
}

async function versionOf({ root }: Place, path: string): Promise<Version> {
  const found = await stat(join(root, path)).catch(() => null); // reading it will say why
  return { size: found?.size ?? 0, time: found?.mtimeMs ?? Infinity };
}

/** Tells whether a file holds what the manifest says: the same bytes, or the same scan, compressed anew. */
async function isSame(
  old: Found,
  { path, channel }: { path: string; channel: number },
  { source, root }: Place,
  { size, time }: Version,
): Promise<boolean> {
  const version = `${join(root, path)} ${size} ${time}`;
  const checksum = checksums.get(version) ?? source.read(path).then(sha256);
  checksums.set(version, checksum);
  if (channel === (old.channel ?? 0) && (await checksum) === old.sha256) return true;
  const bytes = await source.read(path);
  const now = await recordOf(path, bytes, await readNifti(bytes, path));
  return sameScan({ ...now, channel }, old);
}
