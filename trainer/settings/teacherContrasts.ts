// The contrasts of a teacher: those that its settings name, else all that the data have.

import { type CaseFiles, type Modality, MODALITIES } from "../../data/datasets/datasets.ts";
import { contrastsIn, parseSubset, subsetName } from "../../data/datasets/subsets.ts";
import { DataError } from "../../data/errors.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { PLAIN } from "../../model/methods/index.ts";
import type { TrainConfig } from "./settings.ts";

/** A teacher's contrasts as the setting has them; the note is for the user, where cases decided them. */
export interface TeacherContrasts {
  teacherModality: string | null;
  note: string | null;
}

/**
 * Returns what a teacher of `students` sees, trained on `cases`: the contrasts that are given, else those
 * that at least one case has; a case that lacks one of them is a problem that its check names. Throws a
 * DataError for cases that lack a student's contrast, or if the teacher would see fewer than two; a
 * UsageError if those that are given do not include a student's.
 */
export function teacherContrasts(
  cases: readonly CaseFiles[],
  { given, students = [] }: { given: string | null; students?: readonly (readonly Modality[])[] },
): TeacherContrasts {
  const needed = MODALITIES.filter((modality) => students.flat().includes(modality));
  requireContrasts(cases, needed);
  const found = MODALITIES.filter((modality) => cases.some(({ images }) => images[modality]));
  const subset = given ? parseSubset(given) : found;
  for (const one of students) checkTeacherSees({ modality: subsetName(one), teacherModality: given });
  if (subset.length < 2) {
    const [only] = subset;
    const remedy = only ? `train a student with --method ${PLAIN} --modality ${only}` : "choose other cases";
    throw new DataError(
      `a teacher sees two contrasts or more, and the cases have ${only ? `${only} alone` : "none"}: ${remedy}`,
    );
  }
  if (subset.length === MODALITIES.length) return { teacherModality: null, note: null };
  return { teacherModality: subsetName(subset), note: given ? null : narrowed(subset) };
}

/** Throws one DataError that lists every case without one of the needed contrasts. */
function requireContrasts(cases: readonly CaseFiles[], needed: readonly Modality[]): void {
  const problems = cases.flatMap(({ id, images }) => {
    const missing = needed.filter((modality) => !images[modality]);
    if (!missing.length) return [];
    const present = MODALITIES.filter((modality) => images[modality]);
    const students = `students see ${needed.join(", ")}`;
    return [
      `case ${id}: expected ${missing.join(", ")} (${students}), got only ${present.join(", ") || "none"}`,
    ];
  });
  if (problems.length) throw new DataError(problems);
}

/** Tells the user why the teacher does not see all four contrasts. */
function narrowed(subset: readonly Modality[]): string {
  const missing = MODALITIES.filter((modality) => !subset.includes(modality));
  return `the teacher sees ${subset.join(", ")}: no case has ${missing.join(" or ")}`;
}

/** Throws a UsageError where the contrasts that are given to the teacher do not include its student's. */
export function checkTeacherSees({
  modality,
  teacherModality,
}: Pick<TrainConfig, "modality" | "teacherModality">): void {
  if (modality === null || !teacherModality) return;
  const seen = parseSubset(teacherModality);
  const missing = contrastsIn(modality).filter((one) => !seen.includes(one));
  if (!missing.length) return;
  throw new UsageError(
    `--teacher-modality ${teacherModality}: the student sees ${modality}, and its teacher must see ` +
      `${missing.join(", ")} too`,
  );
}
