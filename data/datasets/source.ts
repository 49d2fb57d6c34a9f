// A Source lists relative paths and reads files, so that this code needs no file system: it can be a folder,
// files dropped on a page, or a Map in a test. Paths in a data set's own files may not lead out of it.

import { DataError } from "../errors.ts";
import type { LabelConvention } from "./labels.ts";

/** The MR contrasts, in channel order. */
export const MODALITIES = ["t1", "t2", "t1ce", "flair"] as const;
export type Modality = (typeof MODALITIES)[number];

/** The contrasts as a page or a report names them. */
export const MODALITY_TITLES: Readonly<Record<Modality, string>> = {
  t1: "T1",
  t2: "T2",
  t1ce: "T1ce",
  flair: "FLAIR",
};

export interface Source {
  /** The folder's name, for messages. */
  name: string;
  /** Returns every relative path, separated by '/'. */
  list(): Promise<string[]>;
  read(path: string): Promise<Uint8Array>;
  /** Returns what `list` has not, or what cannot be read. Default: nothing. */
  unread?(): Promise<readonly Unread[]>;
  /** Reads a file of this name in the folder above; null without such a file. */
  readAbove?(name: string): Promise<Uint8Array | null>;
}

/** A file or folder that is not read, and why: "is a link to nothing". */
export interface Unread {
  path: string;
  why: string;
}

export interface CaseFiles {
  id: string;
  /** The file of each modality, and the index of its volume in a 4-D file. */
  images: Partial<Record<Modality, { path: string; channel: number }>>;
  label?: string;
}

/** Returns the paths of a case's files, each once. */
export function pathsOf({ images, label }: CaseFiles): string[] {
  const paths = Object.values(images).map(({ path }) => path);
  return [...new Set(label === undefined ? paths : [...paths, label])];
}

export interface Dataset {
  layout: "brats" | "nnunet" | "msd" | "list";
  convention: LabelConvention;
  /** Sorted by id. */
  cases: CaseFiles[];
}

/** The cases of a data set as its file names show them, and the findings about these names. */
export interface Survey extends Omit<Dataset, "convention"> {
  /** The cases of imagesTs, sorted by id: never trained on. */
  newCases: CaseFiles[];
  /** The label files of each case, one unless something is wrong; also where the images are missing. */
  labels: Map<string, readonly string[]>;
  /** Null if the names allow no convention or several. */
  convention: LabelConvention | null;
  /** True if the names of the images alone tell the convention. */
  byNames: boolean;
  /** The names that layout and convention were detected from, in words. */
  why: { layout: string; convention: string };
  /** One line per problem. */
  problems: string[];
  /** One line for each kind of oddity: files that belong to no case, or are not read, and why. */
  warnings: string[];
}

/**
 * Returns `path` without a leading "./". Throws DataError for an absolute path, or one with "..". `from`
 * names the file or folder that the path comes from.
 */
export function confined(path: string, from: string): string {
  const outside = STRANGE.test(path) || path.split("/").includes("..");
  if (outside || path === "") {
    throw new DataError(`${from}: expected a path inside the folder, got ${JSON.stringify(path)}`);
  }
  return path.replace(/^(\.\/)+/, "");
}

/** Absolute paths, and names that other systems would take for them. */
const STRANGE = /^[/\\]|^[a-z]:|\\/i;

/** Folders of systems and their recycle bins, whose files are no part of a data set. */
const SYSTEM = /^(\.(?!\.?$).*|__MACOSX|@eaDir|#recycle|\$RECYCLE\.BIN|System Volume Information)$/;

/** True for the name of a file or folder that is never read: .Trash-0, ._x.nii.gz, __MACOSX and so on. */
export function isHidden(name: string): boolean {
  return SYSTEM.test(name);
}

/**
 * Returns the source's files in a fixed order, without hidden ones (macOS puts ._x.nii.gz beside x.nii.gz).
 * `unread` has those with a name that would not be a path everywhere, and what the source could not read.
 */
export async function visibleFiles(source: Source): Promise<{ paths: string[]; unread: Unread[] }> {
  const listed = (await source.list()).filter((path) => !path.split("/").some(isHidden)).sort();
  const strange = (path: string) => STRANGE.test(path) || path.split("/").includes("..");
  const why = "has a name that is no path here (unpacked from a zip of another system?), rename it";
  const unread = listed.filter(strange).map((path) => ({ path, why }));
  const paths = listed.filter((path) => !strange(path)).map((path) => path.replace(/^(\.\/)+/, ""));
  return { paths, unread: [...((await source.unread?.()) ?? []), ...unread] };
}

/** Returns the last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Returns "a", "a and b", or "a, b, c and 4 more". */
export function someOf(names: readonly string[], most = 3): string {
  if (names.length > most) return `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/**
 * Returns a problem for each pair of case ids that differ only in upper and lower case, or not at all: some
 * disks would mix them up.
 */
export function clashingIds(cases: readonly CaseFiles[], from: string): string[] {
  const seen = new Map<string, CaseFiles>();
  const problems: string[] = [];
  for (const one of cases) {
    const other = seen.get(one.id.toLowerCase());
    seen.set(one.id.toLowerCase(), one);
    if (!other) continue;
    const same = other.id === one.id;
    const got = same
      ? `${other.id} twice, ${exampleOf(other)} and ${exampleOf(one)}`
      : `${other.id} and ${one.id}`;
    problems.push(`${from}: expected different case names, got ${got}: rename one`);
  }
  return problems;
}

function exampleOf({ images, label }: CaseFiles): string {
  return Object.values(images)[0]?.path ?? label ?? "no file";
}
