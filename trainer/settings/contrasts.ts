// The settings that name the contrasts of networks.

import { parseSubset, SUBSET_TEXT, subsetName, subsetProblem } from "../../data/datasets/subsets.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { type Kind, optional, text } from "../../model/settings/kinds.ts";
import { row } from "../../model/settings/rows.ts";

/** A kind of setting: contrasts joined by "+". */
function contrasts(): Kind<string> {
  const isValid = (given: string) => subsetProblem(given) === null;
  return text("contrasts", { expected: SUBSET_TEXT, isValid });
}

export const CONTRAST_SETTINGS = {
  /** The student's contrasts, as subsetName() joins them; null for a teacher. */
  modality: row(optional(contrasts()), {
    help: "what the student sees, such as t1ce+flair",
    defaultHelp: "t1ce",
  }),
  /**
   * A teacher's contrasts; null for all four. In a student's settings: those of a teacher that is trained for
   * it, where null stands for all four, or those that the data have.
   */
  teacherModality: row(optional(contrasts()), {
    help: "what the teacher sees, if not all four contrasts",
    default: null,
    defaultHelp: "what the data have",
  }),
};

/** Returns the contrasts that a flag names, in their order: "t1ce+flair". Throws a UsageError. */
export function subsetOf(flag: string, given: string): string {
  const problem = subsetProblem(given);
  if (problem !== null) throw new UsageError(`${flag}: ${problem}`);
  return subsetName(parseSubset(given));
}
