// The manifest of a run: its data files with checksums. It documents the run, and finds a scan that is both
// in the training and in the test set under two names.

import * as v from "valibot";
import { sha256, voxelDigest } from "../digest.ts";
import { DataError } from "../errors.ts";
import type { Volume } from "../nifti/nifti.ts";
import { type OwnFile, parseOwn, valuesOf } from "./json.ts";
import { type CaseFiles, MODALITIES } from "./source.ts";
import type { Split } from "./splits.ts";
import { put } from "../groups.ts";

/** One data file. Shape and spacing are in the file's order: x, y, z. */
export interface FileRecord {
  path: string;
  bytes: number;
  /** SHA-256 of the file. */
  sha256: string;
  /** SHA-256 of the voxel values as float32: equal for the same scan, compressed or not. */
  voxels: string;
  /** x, y, z, and the number of volumes if it is more than one. */
  shape: number[];
  /** In mm. */
  spacing: number[];
  /** Four rows of four: millimetres = affine · (x, y, z, 1). */
  affine: number[][];
}

/** A case and those of its files that were read. */
export interface CaseRecord {
  id: string;
  images: Record<string, FileRecord & { channel: number }>;
  label?: FileRecord;
  /** True for a scan of --unlabelled, which may have the id of a labelled case. */
  unlabelled?: true;
}

/** Returns the manifest entry of a file that was read. */
export async function recordOf(path: string, bytes: Uint8Array, volume: Volume): Promise<FileRecord> {
  const { data, size, channels, spacing, affine } = volume;
  return {
    path,
    bytes: bytes.length,
    sha256: await sha256(bytes),
    voxels: await voxelDigest(data),
    shape: [...size.toReversed(), ...(channels > 1 ? [channels] : [])],
    spacing: spacing.toReversed(),
    affine,
  };
}

/** Assigns the files of a case to its modalities and label; `channel` is the volume within a 4-D file. */
export function caseRecord({ id, images, label }: CaseFiles, files: readonly FileRecord[]): CaseRecord {
  const read = new Map(files.map((file) => [file.path, file]));
  const recorded: CaseRecord["images"] = {};
  for (const modality of MODALITIES) {
    const image = images[modality];
    const file = image && read.get(image.path);
    if (file) recorded[modality] = { ...file, channel: image.channel };
  }
  const labelled = label === undefined ? undefined : read.get(label);
  return { id, images: recorded, ...(labelled && { label: labelled }) };
}

/**
 * Throws one DataError that names every scan in two sets of the split: images of two cases with the same
 * voxels.
 */
export function checkDisjoint(split: Split, records: readonly CaseRecord[]): void {
  const sets = new Map<string, string[]>();
  for (const set of ["train", "val", "test"] as const) for (const id of split[set]) put(sets, id, set);
  const setsOf = (id: string) => sets.get(id)?.join(", ") ?? "";
  const seen = new Map<string, Map<string, { id: string; path: string }>>(); // the first file in each set
  const problems: string[] = [];
  const pairs = new Set<string>();
  for (const { id, images } of records) {
    for (const { path, channel, voxels } of Object.values(images)) {
      const scan = `${voxels} ${channel}`;
      const firsts = seen.get(scan) ?? new Map<string, { id: string; path: string }>();
      seen.set(scan, firsts);
      const here = setsOf(id);
      for (const [there, other] of firsts) {
        // a fold's validation cases are its test cases
        if (other.id === id || here === there || pairs.has(`${other.id} ${id}`)) continue;
        pairs.add(`${other.id} ${id}`);
        problems.push(
          `cases ${other.id} (${there}) and ${id} (${here}) are the same scan: ${other.path} ` +
            `and ${path} have the same voxels: put both into one set, or remove one`,
        );
      }
      if (!firsts.has(here)) firsts.set(here, { id, path });
    }
  }
  if (problems.length) throw new DataError(problems);
}

/** Returns the content of dataset_manifest.json: one case per line. */
export function formatManifest(cases: readonly CaseRecord[]): string {
  return `{"cases": [\n${cases.map((record) => JSON.stringify(record)).join(",\n")}\n]}\n`;
}

const File = v.looseObject({
  path: v.string(),
  bytes: v.number(),
  sha256: v.string(),
  voxels: v.string(),
  shape: v.array(v.number()),
  spacing: v.array(v.number()),
  affine: v.array(v.array(v.number())),
});

const MANIFEST: OwnFile<{ cases: CaseRecord[] }> = {
  content: "the manifest of a run's data",
  remedy: "restore it from a copy; without it, whether the data changed since is not checked",
  schema: v.looseObject({
    cases: v.array(
      v.looseObject({
        id: v.string(),
        images: valuesOf(v.looseObject({ ...File.entries, channel: v.number() })),
        label: v.exactOptional(File),
        unlabelled: v.exactOptional(v.literal(true)),
      }),
    ),
  }),
};

/** Reads the content of dataset_manifest.json. Throws a DataError that names `path` for other content. */
export function parseManifest(text: string, path: string): CaseRecord[] {
  return parseOwn(text, path, MANIFEST).cases;
}

/** How the files of two manifests differ. */
export interface FileChanges {
  /** Paths of files that are other scans or labels than before. */
  changed: string[];
  /** Paths of files with other bytes, but the same voxels in the same place. */
  repacked: string[];
}

/**
 * Compares the files of the cases, contrasts and labels that both lists have. Files may have been renamed or
 * moved; the paths that are returned are those of `now`.
 */
export function compareFiles(before: readonly CaseRecord[], now: readonly CaseRecord[]): FileChanges {
  const files = (record: CaseRecord) =>
    filesOf(record).map(
      ([role, file]) => [`${record.unlabelled ?? false} ${record.id} ${role}`, file] as const,
    );
  const known = new Map(before.flatMap(files));
  const [changed, repacked] = [new Set<string>(), new Set<string>()];
  for (const [key, file] of now.flatMap(files)) {
    const old = known.get(key);
    if (!old || (old.sha256 === file.sha256 && old.channel === file.channel)) continue;
    (sameScan(old, file) ? repacked : changed).add(file.path);
  }
  return { changed: [...changed], repacked: [...repacked].filter((path) => !changed.has(path)) };
}

/** Tells whether two files hold the same voxels in the same place. */
export function sameScan(a: Placed, b: Placed): boolean {
  const place = ({ voxels, shape, spacing, affine, channel = 0 }: Placed) =>
    JSON.stringify([voxels, shape, spacing, affine, channel]);
  return place(a) === place(b);
}

/** A file, and the channel of a contrast in it. */
type Placed = FileRecord & { channel?: number };

/** The files of a case by contrast; its label's is "label". */
export function filesOf({ images, label }: CaseRecord): [role: string, file: Placed][] {
  return Object.entries<Placed>({ ...images, ...(label && { label }) });
}
