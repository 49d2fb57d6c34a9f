// The contrasts of a teacher: those that its settings name, else all that the cases to train on have.

import { type CaseFiles, type Modality, MODALITIES } from "../../data/datasets/datasets.ts";
import { contrastsOf, gapsOf, listOf } from "../../data/datasets/gaps.ts";
import { ALL_SUBSETS, contrastsIn, parseSubset, subsetName } from "../../data/datasets/subsets.ts";
import { DataError } from "../../data/errors.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { PLAIN } from "../../model/methods/index.ts";
import type { TrainConfig } from "./settings.ts";

/** A teacher's contrasts as the setting has them, and lines for the user. */
export interface TeacherContrasts {
  teacherModality: string | null;
  notes: string[];
}

/**
 * Returns what a teacher of `students` sees, trained on those of `cases` that have all of it: the contrasts
 * that are given, else those that at least one of the cases has. Throws a DataError if no case has all that
 * the teacher or a student sees, or if the teacher would see fewer than two; a UsageError if those that are
 * given do not include a student's.
 */
export function teacherContrasts(
  cases: readonly CaseFiles[],
  { given, students = [] }: { given: string | null; students?: readonly (readonly Modality[])[] },
): TeacherContrasts {
  for (const seen of students) requireOne(cases, seen, { by: "a student", remedy: "choose other students" });
  const subset = given ? parseSubset(given) : contrastsOf(cases);
  for (const one of students) checkTeacherSees({ modality: subsetName(one), teacherModality: given });
  if (subset.length < 2) {
    const [only] = subset;
    const remedy = only ? `train a student with --method ${PLAIN} --modality ${only}` : "choose other cases";
    throw new DataError(
      `a teacher sees two contrasts or more, and the cases have ${only ? `${only} alone` : "none"}: ${remedy}`,
    );
  }
  requireOne(cases, subset, { by: "the teacher", remedy: "choose fewer with --teacher-modality" });
  const whole = subset.length === MODALITIES.length;
  const notes = [whole || given ? null : narrowed(subset), scarce(cases, subset, students.flat())];
  return {
    teacherModality: whole ? null : subsetName(subset),
    notes: notes.filter((note) => note !== null),
  };
}

/** Throws a DataError that says what the cases lack unless one has all contrasts that a network sees. */
function requireOne(
  cases: readonly CaseFiles[],
  seen: readonly Modality[],
  { by, remedy }: { by: string; remedy: string },
): void {
  if (countOf(cases, seen) > 0) return;
  throw new DataError(
    `no case to train on has ${listOf(seen)}, which ${by} sees: ${gapsOf(cases, seen)}: ${remedy}`,
  );
}

/** Tells the user why the teacher does not see all four contrasts. */
function narrowed(subset: readonly Modality[]): string {
  const missing = MODALITIES.filter((modality) => !subset.includes(modality));
  return `the teacher sees ${subset.join(", ")}: no case to train on has ${missing.join(" or ")}`;
}

/** Warns of a teacher that can use less than half of the cases; names another that can use more. */
function scarce(
  cases: readonly CaseFiles[],
  subset: readonly Modality[],
  needed: readonly Modality[],
): string | null {
  const count = countOf(cases, subset);
  if (2 * count >= cases.length) return null;
  const others = ALL_SUBSETS.map(parseSubset)
    .filter((other) => other.length > 1 && other.every((one) => subset.includes(one)))
    .filter((other) => needed.every((one) => other.includes(one)))
    .map((other) => ({ other, usable: countOf(cases, other) }))
    .sort((a, b) => b.usable - a.usable);
  const most = others.filter(({ usable }) => 2 * usable >= cases.length);
  const better = most.sort((a, b) => b.other.length - a.other.length)[0] ?? others[0];
  const remedy =
    better && better.usable > count
      ? `: with --teacher-modality ${subsetName(better.other)} it trains on ${better.usable}`
      : "";
  return (
    `the teacher trains on ${count} of ${cases.length} cases alone, those that have ${listOf(subset)}: ` +
    `${gapsOf(cases, subset)}${remedy}`
  );
}

function countOf(cases: readonly CaseFiles[], seen: readonly Modality[]): number {
  return cases.filter(({ images }) => seen.every((one) => images[one])).length;
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
