// Where cases come from, without a file system: a Source lists relative paths and reads one, whether it is
// a folder, files dropped on a page, or a Map in a test. Paths that lead out of it are refused here, once.

import { DataError } from "../errors.ts";
import type { LabelConvention } from "./labels.ts";

/** The MR sequences, in channel order. */
export const MODALITIES = ["t1", "t2", "t1ce", "flair"] as const;
export type Modality = (typeof MODALITIES)[number];

export interface Source {
  /** What messages call it: the folder's name. */
  name: string;
  /** Every relative path, '/'-separated. */
  list(): Promise<string[]>;
  read(path: string): Promise<Uint8Array>;
}

export interface CaseFiles {
  id: string;
  /** The file of each modality that the case has, and which of the file's volumes it is. */
  images: Partial<Record<Modality, { path: string; channel: number }>>;
  label?: string;
}

export interface Dataset {
  layout: "brats" | "nnunet" | "msd";
  convention: LabelConvention;
  /** Sorted by id. */
  cases: CaseFiles[];
}

/** A data set as its names tell it, with all that is wrong with them. */
export interface Survey extends Omit<Dataset, "convention"> {
  /** Null where the names do not tell it, or tell two. */
  convention: LabelConvention | null;
  /** Which names say so, in words. */
  why: { layout: string; convention: string };
  /** One line each. */
  problems: string[];
}

/**
 * `path` without a leading "../"; throws DataError for one that is absolute or climbs out. `from` names its
 * origin.
 */
export function confined(path: string, from: string): string {
  const outside = /^[/\\]|^[a-z]:|\\/i.test(path) || path.split("/").includes("..");
  if (outside || path === "") {
    throw new DataError(`${from}: expected a path inside the folder, got ${JSON.stringify(path)}`);
  }
  return path.replace(/^(\.\/)+/, "");
}

/** The source's files in a fixed order, hidden ones left out (macOS puts ._x.nii.gz beside x.nii.gz). */
export async function visibleFiles(source: Source): Promise<string[]> {
  const paths = (await source.list()).map((path) => confined(path, source.name));
  return paths.filter((path) => !path.split("/").some((part) => part.startsWith("."))).sort();
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What is wrong with ids that would give one file on a disk that does not tell upper from lower case. */
export function clashingIds(cases: readonly CaseFiles[], from: string): string[] {
  const seen = new Map<string, string>();
  const problems: string[] = [];
  for (const { id } of cases) {
    const other = seen.get(id.toLowerCase());
    if (other !== undefined)
      problems.push(`${from}: expected case names that differ, got ${other} and ${id}`);
    seen.set(id.toLowerCase(), id);
  }
  return problems;
}
