// Pairs predictions with their references, by the name of the case, and finds the cases without a prediction.

import { realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { type CaseFiles, someOf } from "../../data/datasets/source.ts";
import { DataError } from "../../data/errors.ts";
import type { Coverage } from "../../model/scoring/summary.ts";
import { labelFile } from "./labelFiles.ts";
import type { Predictions } from "./predictionFiles.ts";
import type { References } from "./referenceFiles.ts";
import { put } from "../../data/groups.ts";

/** Prediction and reference of one case. */
export interface LabelPair {
  case: string;
  prediction: string;
  reference: string;
}

/**
 * Returns every prediction with its reference, and the references without a prediction: these are fine in a
 * data set, and in a plain folder if `partial`. Throws one DataError that lists all files without a
 * counterpart, and every prediction that is the reference itself.
 */
export async function pairLabels(
  { files, absent }: Pick<Predictions, "files" | "absent">,
  references: Pick<References, "files" | "dataSet">,
  { partial = false } = {},
): Promise<{ pairs: LabelPair[]; coverage: Coverage }> {
  const problems: string[] = [];
  const pairs: LabelPair[] = [];
  for (const [id, prediction] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const reference = references.files.get(id);
    if (reference === undefined) problems.push(`${prediction}: no reference of case ${id}`);
    else if (await sameFile(prediction, reference)) problems.push(itself(prediction, reference));
    else pairs.push({ case: id, prediction, reference });
  }
  const missing = [...references.files.keys()]
    .filter((id) => !files.has(id))
    .sort()
    .map((id) => ({ case: id, why: absent.get(id) ?? null }));
  if (!references.dataSet && !partial) {
    for (const { case: id, why } of missing) {
      const reason = why === null ? "" : `: ${why}`;
      const reference = references.files.get(id)!;
      problems.push(`${reference}: no prediction of case ${id}${reason} (--partial evaluates without it)`);
    }
  }
  if (problems.length > 0) throw new DataError(problems);
  return { pairs, coverage: { scored: pairs.length, references: references.files.size, missing } };
}

/** Returns the predictions of labelled cases and their labels, sorted by case. */
export function pairsOf(
  cases: readonly CaseFiles[],
  { predictions, references }: { predictions: string; references: string },
): LabelPair[] {
  const labelled = cases.flatMap(({ id, label }) => (label === undefined ? [] : [{ id, label }]));
  return labelled
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ id, label }) => {
      const [prediction, reference] = [join(predictions, labelFile(id)), join(references, label)];
      return { case: id, prediction, reference };
    });
}

/** The problem of a prediction that is the file of its reference, or a copy of it. */
export function itself(prediction: string, reference: string): string {
  const remedy = "give the predictions' own folder with --predictions, and the labels' with --references";
  return `${prediction}: is the reference itself, ${reference}: ${remedy}`;
}

/** Returns the cases without a prediction and why, long lists cut; null if every case has one. */
export function coverageText({ scored, references, missing }: Coverage): string | null {
  if (!missing.length) return null;
  const groups = new Map<string | null, string[]>();
  for (const { case: id, why } of missing) put(groups, why, id);
  const parts = [...groups].map(([why, ids]) => {
    const reason = why === null ? "" : ` (${why})`;
    return `${someOf(ids, SHOWN)} ${ids.length > 1 ? "have" : "has"} no prediction${reason}`;
  });
  return `${scored} of ${references} cases: ${parts.join("; ")}`;
}

const SHOWN = 6;

/** True for two names of one file, by links or otherwise. */
async function sameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all(
    [one, other].map((path) => stat(path, { bigint: true }).catch(() => null)),
  );
  if (!a || !b) return false; // reading it tells why
  if (a.ino !== 0n) return a.dev === b.dev && a.ino === b.ino;
  return (await realpath(one)) === (await realpath(other)); // file systems without numbers of files
}
