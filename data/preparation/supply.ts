// Cases at hand, and cases that are read whenever they are needed: a data set may be larger than memory.

import type { Modality } from "../datasets/source.ts";
import type { Case } from "./preprocess.ts";

/** A case that is read whenever it is needed, to the same bits each time. */
export interface UnreadCase {
  id: string;
  channels: readonly Modality[];
  /** As of Case. */
  absent?: readonly Modality[];
  /** Throws a DataError that names the case and the file. */
  read(): Promise<Case>;
}

/** A case at hand, or one that is read. */
export type SuppliedCase = Case | UnreadCase;

/** Returns the case; reads it if it is not at hand. */
export async function caseOf(supplied: SuppliedCase): Promise<Case> {
  return "read" in supplied ? supplied.read() : supplied;
}

/** Yields the cases in order. While the caller works with one, the next one is read. */
export async function* inTurn(cases: readonly SuppliedCase[]): AsyncGenerator<Case> {
  const begin = (i: number) => {
    const next = i < cases.length ? caseOf(cases[i]!) : null;
    next?.catch(() => undefined); // thrown where it is awaited
    return next;
  };
  let next = begin(0);
  for (let i = 1; next; i++) {
    const ready: Case = await next;
    next = begin(i);
    yield ready;
  }
}
