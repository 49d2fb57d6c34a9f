// The settings that name the contrasts of networks.

import { MODALITIES, type Modality } from "../../data/datasets/datasets.ts";
import {
  ANY,
  anyOf,
  contrastsIn,
  EACH,
  eachOf,
  isAny,
  parseSubset,
  SUBSET_TEXT,
  subsetIn,
  subsetName,
  subsetProblem,
  takesSome,
} from "../../data/datasets/subsets.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { type Kind, onOff, optional, text } from "../../model/settings/kinds.ts";
import { row } from "../../model/settings/rows.ts";
import type { DropWeights } from "../loop/drawSubset.ts";

/** A kind of setting: contrasts joined by "+". */
function contrasts(): Kind<string> {
  const isValid = (given: string) => subsetProblem(given) === null;
  return text("contrasts", { expected: SUBSET_TEXT, isValid });
}

/** A kind of setting: contrasts joined by "+", any of them, or each alone. */
function studentContrasts(): Kind<string> {
  const isValid = (given: string) => studentProblem(given) === null;
  return text("contrasts", { expected: `${SUBSET_TEXT}, ${ANY} or ${EACH}`, isValid });
}

/** A kind of setting: weights between 0 and 1 for some contrasts. */
function weights(): Kind<string> {
  const isValid = (given: string) => dropProblem(given) === null;
  return text("weights", { expected: DROP_TEXT, isValid });
}

const DROP_TEXT = "contrasts with numbers from 0 to below 1, like t1=0.3,t1ce=0.7";

export const CONTRAST_SETTINGS = {
  /**
   * The student's contrasts, as subsetName() joins them, or "any" as anyOf() and "each" as eachOf() write it;
   * null for a teacher.
   */
  modality: row(optional(studentContrasts()), {
    help:
      "what the student sees, such as t1ce+flair; any: whatever is there, with one network for all subsets; with " +
      "--method ummkd or uagan the contrasts that share its network",
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
  /** How often each contrast is dropped, as dropWeightsIn() reads it; null for all subsets equally often. */
  dropWeights: row(optional(weights()), {
    help: "with --modality any: how often training drops a contrast, such as t1=0.3,t1ce=0.7",
    default: null,
    defaultHelp: "0.5 each: all subsets equally often",
    page: { label: "Dropped, as t1=0.3" },
  }),
  /** True for a student whose own pass on all contrasts is its teacher: --teacher self. */
  selfTaught: row(onOff(), { help: "is its own teacher", default: false, flag: false }),
};

/** Returns the contrasts that a flag names, in their order: "t1ce+flair". Throws a UsageError. */
export function subsetOf(flag: string, given: string): string {
  const problem = subsetProblem(given);
  if (problem !== null) throw new UsageError(`${flag}: ${problem}`);
  return subsetName(parseSubset(given));
}

/** The same for a student, who may take any or each of some contrasts: "any", "each:t1ce+flair". */
export function studentOf(flag: string, given: string): string {
  const text = given.trim().toLowerCase();
  if (!takesSome(text)) return subsetOf(flag, given);
  const problem = studentProblem(text);
  if (problem !== null) throw new UsageError(`${flag}: ${problem}`);
  return (isAny(text) ? anyOf : eachOf)(contrastsIn(text));
}

function studentProblem(given: string): string | null {
  if (given === ANY || given === EACH) return null;
  const problem = subsetProblem(subsetIn(given));
  if (!takesSome(given) || problem !== null || contrastsIn(given).length > 1) return problem;
  const [only] = contrastsIn(given);
  const needed = "expected two contrasts or more";
  return isAny(given)
    ? `${needed} to take any of, got ${only} alone: use --modality ${only}`
    : `${needed} to share a network, got ${only} alone`;
}

/** Returns the weights in "t1=0.3,t1ce=0.7". Throws a UsageError. */
export function dropWeightsIn(given: string | null): DropWeights {
  if (given === null) return {};
  const problem = dropProblem(given);
  if (problem !== null) throw new UsageError(`--drop-weights: ${problem}`);
  return Object.fromEntries(partsOf(given).map(([name, value]) => [name, Number(value)]));
}

function dropProblem(given: string): string | null {
  const parts = partsOf(given);
  const names = parts.map(([name]) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) return `expected ${DROP_TEXT}, got ${twice} twice`;
  const isSound = ([name, value]: readonly [string, string]) =>
    MODALITIES.includes(name as Modality) && /^\d*\.?\d+$/.test(value) && Number(value) < 1;
  const wrong = parts.find((part) => !isSound(part));
  return wrong ? `expected ${DROP_TEXT}, got ${wrong.join("=") || "nothing"}` : null;
}

function partsOf(given: string): [name: string, value: string][] {
  return given.split(",").map((part) => {
    const [name = "", ...rest] = part.split("=").map((one) => one.trim());
    return [name.toLowerCase(), rest.join("=")];
  });
}
