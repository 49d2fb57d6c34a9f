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
import { textOf } from "../datasets/json.ts";
import type { Source } from "../datasets/source.ts";
import { parseSplits, SPLIT_FILE, SPLIT_SEED, splitCases, splitOfFold } from "../datasets/splits.ts";
import { collectProblems } from "../errors.ts";
import type { CheckReport } from "./check.ts";

/** The split that training uses without --split, and the folds that it uses with --fold. */
const FILES = [SPLIT_FILE, "splits_final.json"];

/**
 * Adds to a report how many patients its cases have by the value of --patients, warnings about a split in the
 * folder that parts a patient, and problems: a split that cannot be read, or too few cases to draw one.
 */
export async function describePatients(report: CheckReport, source: Source, patients: string): Promise<void> {
  const trainable = report.cases.slice(0, report.cases.length - report.newCases);
  const ids = trainable.map(({ id }) => id);
  await collectProblems(report.problems, () => checkPatients(ids, patients));
  const patientOf = patientsBy(patients);
  const count = patientCount(ids, patientOf);
  if (count !== null) {
    const largest = patientGroups(ids, patientOf).reduce((a, b) => (b.length > a.length ? b : a));
    report.patients = `${count}, as ${listed(largest)} of ${patientOf(largest[0]!)}`;
  }
  const there = await source.list();
  if (!there.includes(SPLIT_FILE))
    await collectProblems(report.problems, () => splitCases(ids, { seed: SPLIT_SEED, patientOf }));
  for (const file of FILES.filter((name) => there.includes(name))) {
    const text = textOf(await source.read(file), file);
    const problems = file === SPLIT_FILE ? report.problems : report.warnings;
    const found = await collectProblems(problems, () => parseSplits(text, file, ids));
    if (found === undefined) continue;
    const splits = Array.isArray(found) ? found.map((_, fold) => splitOfFold(found, fold)) : [found];
    const parted = new Set(splits.flatMap((split) => partedPatients(split, patientOf)));
    if (parted.size) report.warnings.push(`${file}: ${partedText([...parted])}: scores will be too good`);
  }
}
