// A Source lists relative paths and reads files, so that this code needs no file system: it can be a folder,
// files dropped on a page, or a Map in a test. Paths that lead out of the source are refused here.

import { DataError } from "../errors.ts";
import type { LabelConvention } from "./labels.ts";

/** The MR contrasts, in channel order. */
export const MODALITIES = ["t1", "t2", "t1ce", "flair"] as const;
export type Modality = (typeof MODALITIES)[number];

export interface Source {
  /** The folder's name, for messages. */
  name: string;
  /** Returns every relative path, separated by '/'. */
  list(): Promise<string[]>;
  read(path: string): Promise<Uint8Array>;
}

export interface CaseFiles {
  id: string;
  /** The file of each modality, and the index of its volume in a 4-D file. */
  images: Partial<Record<Modality, { path: string; channel: number }>>;
  label?: string;
}

export interface Dataset {
  layout: "brats" | "nnunet" | "msd";
  convention: LabelConvention;
  /** Sorted by id. */
  cases: CaseFiles[];
}

/** The cases of a data set as its file names show them, and the problems with these names. */
export interface Survey extends Omit<Dataset, "convention"> {
  /** Null if the names allow no convention or several. */
  convention: LabelConvention | null;
  /** The names that layout and convention were detected from, in words. */
  why: { layout: string; convention: string };
  /** One line per problem. */
  problems: string[];
}

/**
 * Returns `path` without a leading "./". Throws DataError for an absolute path, or one with "..". `from`
 * names the file or folder that the path comes from.
 */
export function confined(path: string, from: string): string {
  const outside = /^[/\\]|^[a-z]:|\\/i.test(path) || path.split("/").includes("..");
  if (outside || path === "") {
    throw new DataError(`${from}: expected a path inside the folder, got ${JSON.stringify(path)}`);
  }
  return path.replace(/^(\.\/)+/, "");
}

/**
 * Returns the source's files in a fixed order, without hidden ones (macOS puts ._x.nii.gz beside x.nii.gz).
 */
export async function visibleFiles(source: Source): Promise<string[]> {
  const paths = (await source.list()).map((path) => confined(path, source.name));
  return paths.filter((path) => !path.split("/").some((part) => part.startsWith("."))).sort();
}

/** Returns the last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/**
 * Returns a problem for each pair of case ids that differ only in upper and lower case: some disks would mix
 * them up.
 */
export function clashingIds(cases: readonly CaseFiles[], from: string): string[] {
  const seen = new Map<string, string>();
  const problems: string[] = [];
  for (const { id } of cases) {
    const other = seen.get(id.toLowerCase());
    if (other !== undefined)
      problems.push(`${from}: expected different case names, got ${other} and ${id}: rename one`);
    seen.set(id.toLowerCase(), id);
  }
  return problems;
}
