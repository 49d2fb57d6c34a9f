// The names of modalities, in dataset.json and at the end of file names: one table for both. A name that may
// mean two contrasts is read only if the names beside it decide.

import type { LabelConvention } from "./labels.ts";
import { baseName, type Modality } from "./source.ts";

/** Spellings of each modality, in lower case, with letters and digits only. */
const SPELLINGS: Readonly<Record<Modality, readonly string[]>> = {
  t1: ["t1", "t1w", "t1n", "t1native", "t1weighted", "t1pre", "t1wpre", "t1precontrast"],
  t2: ["t2", "t2w", "t2weighted"],
  t1ce: [
    ...["t1ce", "t1c", "t1gd", "t1gad", "t1gado", "t1gadolinium", "t1post", "t1postcontrast", "t1contrast"],
    ...["t1wce", "t1cew", "t1wc", "t1wgd", "t1wpost", "t1enhanced", "t1cegd", "cet1", "cet1w", "gdt1"],
  ],
  flair: ["flair", "t2flair", "t2f", "t2wflair", "flairt2"],
};

/** The names that BraTS itself uses, and the label convention of the years that used them. */
const BRATS_NAMES: ReadonlyMap<string, LabelConvention> = new Map([
  ...["t1", "t2", "t1ce", "flair"].map((name) => [name, "brats"] as const),
  ...["t1n", "t2w", "t1c", "t2f"].map((name) => [name, "brats2023"] as const),
]);

/** Returns the modality with this name, in any of its usual spellings. */
export function modalityNamed(spelling: string): Modality | undefined {
  const plain = plainly(spelling);
  return (Object.keys(SPELLINGS) as Modality[]).find((key) => SPELLINGS[key].includes(plain));
}

/** One way to read the name of a file. */
export interface Reading {
  /** The case, in Unicode's form NFC: macOS may store a name in another form than it was typed in. */
  id: string;
  role: Modality | "label";
  /** The label convention of the data sets that use this name; null if none is known. */
  convention: LabelConvention | null;
  /** True if it holds only where other files share its case. */
  shared: boolean;
}

const EXTENSION = /\.nii(\.gz)?$/i;
/** BIDS: the subject and session, other entities such as _acq-x or _ce-gadolinium, and the suffix. */
const BIDS = /^(sub-[^_-]+(?:_ses-[^_-]+)?)((?:_[a-z]+-[^_-]+)*)_(T1w|T2w|FLAIR)$/;
/** Words that speak of contrast agent; before T1 they may belong to it, or to the name of the case. */
const CONTRAST = /^(post|postcontrast|postgd|contrast|enhanced|gd|gad|gado|gadolinium|ce|c\+|km)$/i;
const LONGEST_TAIL = 3; // words, as in T1_post_contrast

/** Returns the ways to read the name of a file, to be tried in this order; none for other files. */
export function readingsOf(path: string): Reading[] {
  const base = baseName(path);
  if (!EXTENSION.test(base)) return [];
  const stem = base.replace(EXTENSION, "").normalize("NFC");
  const bids = BIDS.exec(stem);
  if (bids) return bidsReading(bids as unknown as [string, string, string, string]);
  const readings: Reading[] = [];
  for (let words = 1; words <= LONGEST_TAIL; words++) {
    const parts = new RegExp(`^(.+)[_-]((?:[^_-]+[_-]){${words - 1}}[^_-]+)$`).exec(stem);
    if (!parts) break;
    const [, id, tail] = parts as unknown as [string, string, string];
    const role = tail.toLowerCase() === "seg" ? "label" : modalityNamed(tail);
    // A longer name begins with one: T1_c, but not time_t_2.
    if (!role || (words > 1 && !modalityNamed(tail.split(/[_-]/)[0]!))) continue;
    const convention = BRATS_NAMES.get(tail.toLowerCase()) ?? null;
    const shared = role === "t1" && speaksOfContrast(id.split(/[_-]/).at(-1)!);
    readings.push({ id, role, convention, shared });
  }
  // patient_T2_FLAIR is patient's FLAIR, unless patient_T2 is a case: with patient_T2_T1 beside it.
  return readings.map((one, i) => (i < readings.length - 1 ? { ...one, shared: true } : one));
}

/** In BIDS the entity _ce- says that contrast agent was given; the others tell scans of a case apart. */
function bidsReading([, id, entities, suffix]: [string, string, string, string]): Reading[] {
  const enhanced = entities.includes("_ce-");
  const named = modalityNamed(suffix)!;
  if (enhanced && named !== "t1") return []; // no model here sees these
  const role = enhanced ? "t1ce" : named;
  if (suffix !== "FLAIR") return [{ id, role, convention: null, shared: false }];
  // BraTS names a file so too: then its case is all that comes before.
  const reading: Reading = { id, role, convention: "brats", shared: false };
  return [{ ...reading, id: id + entities, shared: true }, reading];
}

/**
 * Reads the names of files, each with its folder as part of the case's key. Returns a reading for each file
 * that has one; doubtful names are decided by the other files of their folder.
 */
export function readNames(paths: readonly string[]): Map<string, Reading> {
  const readings = new Map(paths.map((path) => [path, readingsOf(path)]));
  const roles = new Map<string, Set<Reading["role"]>>();
  const keyOf = (path: string, id: string) => path.slice(0, -baseName(path).length) + id;
  for (const [path, all] of readings) {
    for (const { id, role } of all) {
      const key = keyOf(path, id);
      roles.set(key, (roles.get(key) ?? new Set()).add(role));
    }
  }
  const isCase = (path: string, { id, role }: Reading): boolean => {
    const there = roles.get(keyOf(path, id))!;
    const others = [...there].filter((one) => one !== role);
    if (role !== "t1") return others.length > 0;
    return others.includes("t1ce") || others.includes("label") || others.length > 1;
  };
  const found = new Map<string, Reading>();
  for (const [path, all] of readings) {
    const reading = all.find((one) => !one.shared || isCase(path, one));
    if (reading) found.set(path, reading);
  }
  return found;
}

/** True for a word such as post or gadolinium. */
export function speaksOfContrast(word: string): boolean {
  return CONTRAST.test(word);
}

/** Returns the path in Unicode's form NFC. */
export function normal(path: string): string {
  return path.normalize("NFC");
}

function plainly(spelling: string): string {
  return spelling.toLowerCase().replace(/[^a-z0-9]/g, "");
}
