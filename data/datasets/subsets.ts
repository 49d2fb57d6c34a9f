// Subsets of the contrasts, which networks see. A subset's name joins its contrasts by "+" in channel order:
// "t1ce+flair".

import { DataError } from "../errors.ts";
import { MODALITIES, type Modality } from "./source.ts";

/** Returns the name of a subset, its contrasts in channel order: "t1ce+flair". */
export function subsetName(subset: readonly Modality[]): string {
  return MODALITIES.filter((modality) => subset.includes(modality)).join("+");
}

/**
 * Returns the contrasts that a text such as "FLAIR+t1ce" names, in channel order. Throws a DataError for an
 * unknown contrast, one named twice, or none.
 */
export function parseSubset(text: string): Modality[] {
  const problem = subsetProblem(text);
  if (problem !== null) throw new DataError(problem);
  const parts = partsOf(text);
  return MODALITIES.filter((modality) => parts.includes(modality));
}

/** Returns why a text names no subset: "expected ..., got t1 twice"; null for the name of one. */
export function subsetProblem(text: string): string | null {
  const parts = partsOf(text);
  const unknown = parts.find((part) => !(MODALITIES as readonly string[]).includes(part));
  const twice = parts.find((part, i) => parts.indexOf(part) < i);
  if (unknown === undefined && twice === undefined) return null;
  const got = unknown === undefined ? `${twice} twice` : unknown || (text.trim() ? "an empty name" : "none");
  return `expected ${SUBSET_TEXT}, got ${got}${parts.length > 1 ? ` in ${text}` : ""}`;
}

/** The text for a network that takes any of all contrasts; after a colon come those of fewer. */
export const ANY = "any";

/** The text for a network that sees one contrast at a time, of all; after a colon come those of fewer. */
export const EACH = "each";

/** Tells whether a text stands for a network that takes any of its contrasts: "any", or "any:t1ce+flair". */
export function isAny(text: string | null): boolean {
  return beginsWith(ANY, text);
}

/** Tells whether a text stands for a network that sees one contrast at a time: "each", "each:t1ce+flair". */
export function isEach(text: string | null): boolean {
  return beginsWith(EACH, text);
}

/** Tells whether a network of these contrasts can use a case that has but some of them. */
export function takesSome(text: string | null): boolean {
  return isAny(text) || isEach(text);
}

/** Returns the text for a network that takes any of these contrasts. */
export function anyOf(modalities: readonly Modality[]): string {
  return textFor(ANY, modalities);
}

/** Returns the text for a network that sees these contrasts, one at a time. */
export function eachOf(modalities: readonly Modality[]): string {
  return textFor(EACH, modalities);
}

function beginsWith(word: string, text: string | null): boolean {
  return text === word || (text?.startsWith(`${word}:`) ?? false);
}

function textFor(word: string, modalities: readonly Modality[]): string {
  return modalities.length === MODALITIES.length ? word : `${word}:${subsetName(modalities)}`;
}

/** The subset after the colon of a text that takesSome(); any other text as it is. */
export function subsetIn(text: string): string {
  return takesSome(text) ? text.slice(text.indexOf(":") + 1) : text;
}

/** Returns the contrasts of a network, fixed ones ("t1ce+flair"), any or each. Throws as parseSubset(). */
export function contrastsIn(text: string): Modality[] {
  return text === ANY || text === EACH ? [...MODALITIES] : parseSubset(subsetIn(text));
}

/** The form of a subset, for messages. */
export const SUBSET_TEXT = `contrasts joined by + (${MODALITIES.join(", ")})`;

/** The names of all 15 subsets: the single contrasts, then pairs, triples, and all four. */
export const ALL_SUBSETS: readonly string[] = Array.from({ length: 2 ** MODALITIES.length - 1 }, (_, i) =>
  MODALITIES.filter((_, bit) => (i + 1) & (1 << bit)),
)
  .sort((a, b) => a.length - b.length || before(a, b))
  .map(subsetName);

/** Orders subsets of one size by their first contrast that differs. */
function before(a: readonly Modality[], b: readonly Modality[]): number {
  const i = a.findIndex((modality, at) => modality !== b[at]);
  return i < 0 ? 0 : MODALITIES.indexOf(a[i]!) - MODALITIES.indexOf(b[i]!);
}

function partsOf(text: string): string[] {
  return text.split("+").map((part) => part.trim().toLowerCase());
}
