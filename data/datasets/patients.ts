// Which cases are time points of one patient, by their ids: a patient belongs into one set of a split, for a
// network knows a brain that it was trained on.

import { DataError } from "../errors.ts";
import { put } from "../groups.ts";

/** The case ids of each set of a split. */
type Sets = Readonly<Record<"train" | "val" | "test", readonly string[]>>;

/** Returns the patient of a case id; the id itself if the case is its patient's only one. */
export type PatientOf = (id: string) => string;

/** A time point by name, after a number: UCSF-PDGM-0429_FU003d, PatientID_0003_Timepoint_1. */
const NAMED = /^(.*?\d)[-_](?:ses|session|time|timepoint|tp|visit|week|month|day|fu|followup)[-_]?\d[-\w]*$/i;

/** A patient by name, before anything else: brats_tcia_pat149_0001, Patient-001_2, sub-01_run-1. */
const PATIENT = /^((?:.*?[-_])??(?:sub-[a-z]*\d[a-z0-9]*|(?:sub|subject|pat|patient)[-_]?\d+))[-_].+$/i;

/** A number of three digits or more, and a shorter one: BraTS-GLI-00005-000, UPENN-GBM-00001_11. */
const NUMBERED = /^((?:.*[-_])?(\d{3,}))[-_](\d{1,3})$/;

/** A year is not a patient: BraTS_2021_001. */
const YEAR = /^(19|20)\d\d$/;

/** The values of --patients that are not patterns: by the rules above, or each case on its own. */
export const AUTO = "auto";
export const APART = "none";

/** Tells whether a text says how patients are found: auto, none, or a regular expression with a group. */
export function isPatients(text: string): boolean {
  if (text === AUTO || text === APART) return true;
  try {
    return new RegExp(`${text}|`).exec("")!.length > 1;
  } catch {
    return false;
  }
}

/** Returns the function that finds a case's patient, by the value of --patients. */
export function patientsBy(patients: string): PatientOf {
  if (patients === APART) return (id) => id;
  if (patients === AUTO) return namedPatient;
  const pattern = new RegExp(patients);
  return (id) => pattern.exec(id)?.[1] ?? id;
}

/** Throws a DataError that names ids in which the pattern of --patients finds no patient. */
export function checkPatients(ids: readonly string[], patients: string): void {
  if (patients === AUTO || patients === APART) return;
  const pattern = new RegExp(patients);
  const without = ids.filter((id) => !pattern.exec(id)?.[1]);
  if (!without.length) return;
  throw new DataError(
    `--patients ${patients}: expected a patient in every case's id, got none in ${listed(without)} ` +
      `(${without.length} of ${ids.length} cases): change the pattern, or use auto or none`,
  );
}

function namedPatient(id: string): string {
  const named = (NAMED.exec(id) ?? PATIENT.exec(id))?.[1];
  if (named !== undefined) return named;
  const [, patient, number, time] = NUMBERED.exec(id) ?? [];
  return number !== undefined && number.length > time!.length && !YEAR.test(number) ? patient! : id;
}

/** The cases of each patient, sorted; patients in the order of their first case. */
export function patientGroups(ids: readonly string[], patientOf: PatientOf): string[][] {
  const groups = new Map<string, string[]>();
  for (const id of [...ids].sort()) put(groups, patientOf(id), id);
  return [...groups.values()];
}

/** "24 cases of 6 patients"; null if every case is a patient of its own. */
export function patientCount(ids: readonly string[], patientOf: PatientOf): string | null {
  const groups = patientGroups(ids, patientOf);
  const patients = groups.length === 1 ? "1 patient" : `${groups.length} patients`;
  return groups.length === ids.length ? null : `${ids.length} cases of ${patients}`;
}

/**
 * A sentence about the patients of a split: their number, or a warning with the cases of those that are in
 * two sets; null if every case is a patient of its own.
 */
export function patientNote(split: Sets, patientOf: PatientOf): string | null {
  const ids = [...new Set([...split.train, ...split.val, ...split.test])];
  const count = patientCount(ids, patientOf);
  if (count === null) return null;
  const parted = partedPatients(split, patientOf);
  if (!parted.length) return `${count}, split by patient`;
  return `${count}: ${partedText(parted)}: scores on them will be too good`;
}

/** "the split parts BraTS-GLI-00005 (BraTS-GLI-00005-000 in train, BraTS-GLI-00005-001 in test), ...". */
export function partedText(parted: readonly string[]): string {
  return `the split parts ${listed(parted)}`;
}

/** The patients with cases in different sets of a split, with one case of each set. */
export function partedPatients(split: Sets, patientOf: PatientOf): string[] {
  const sets = new Map<string, string>(); // of a fold, a case to validate on may be a test case too
  for (const set of ["train", "val", "test"] as const) {
    for (const id of split[set]) sets.set(id, sets.has(id) ? `${sets.get(id)} and ${set}` : set);
  }
  return patientGroups([...sets.keys()], patientOf).flatMap((group) => {
    const firsts = new Map(group.toReversed().map((id) => [sets.get(id)!, id]));
    if (firsts.size < 2) return [];
    const where = [...firsts].reverse().map(([set, id]) => `${id} in ${set}`);
    return [`${patientOf(group[0]!)} (${where.join(", ")})`];
  });
}

const NAMES = 3; // that a message lists

/** The first of some names, and that there are more. */
export function listed(names: readonly string[]): string {
  return names.slice(0, NAMES).join(", ") + (names.length > NAMES ? ", ..." : "");
}
