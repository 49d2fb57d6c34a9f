// The patients of a data set, and whether a split that lies in its folder keeps each of them in one set.

import {
  checkPatients,
  listed,
  partedPatients,
  partedText,
  patientCount,
  patientGroups,
  patientsBy,
} from "../datasets/patients.ts";
import type { Source } from "../datasets/source.ts";
import { parseSplits, SPLIT_FILE, splitOfFold } from "../datasets/splits.ts";
import { collectProblems } from "../errors.ts";
import type { CheckReport } from "./check.ts";

/** The split that training uses without --split, and the folds that it uses with --fold. */
const FILES = [SPLIT_FILE, "splits_final.json"];

/**
 * Adds to a report how many patients its cases have by the value of --patients, warnings about a split in the
 * folder that parts a patient, and the problems of a split that cannot be read.
 */
export async function describePatients(report: CheckReport, source: Source, patients: string): Promise<void> {
  const ids = report.cases.map(({ id }) => id);
  await collectProblems(report.problems, () => checkPatients(ids, patients));
  const patientOf = patientsBy(patients);
  const count = patientCount(ids, patientOf);
  if (count !== null) {
    const largest = patientGroups(ids, patientOf).reduce((a, b) => (b.length > a.length ? b : a));
    report.patients = `${count}, as ${listed(largest)} of ${patientOf(largest[0]!)}`;
  }
  const there = await source.list();
  for (const file of FILES.filter((name) => there.includes(name))) {
    const text = new TextDecoder().decode(await source.read(file));
    const problems = file === SPLIT_FILE ? report.problems : report.warnings;
    const found = await collectProblems(problems, () => parseSplits(text, file, ids));
    if (found === undefined) continue;
    const splits = Array.isArray(found) ? found.map((_, fold) => splitOfFold(found, fold)) : [found];
    const parted = new Set(splits.flatMap((split) => partedPatients(split, patientOf)));
    if (parted.size) report.warnings.push(`${file}: ${partedText([...parted])}: scores will be too good`);
  }
}
