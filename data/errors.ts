// Errors in the user's data, as opposed to errors in the program or the command line. One error carries all
// problems that were found, so that a user can fix a folder in one go.

import { append } from "../engine/values.ts";
import { put } from "./groups.ts";

/** The lines of a kind that are shown in full, and the cases that the line on the others names. */
const [SHOWN, NAMED] = [3, 6];

/**
 * Returns findings with those alike cut short: lines that differ in cases, files and numbers alone. If there
 * are more than SHOWN + 1 of a kind, the first are kept, and a line counts the others and names their cases.
 */
export function grouped(lines: readonly string[]): string[] {
  const kinds = new Map<string, string[]>();
  for (const line of lines) put(kinds, kindOf(line), line);
  return [...kinds.values()].flatMap((alike) => {
    if (alike.length <= SHOWN + 1) return alike;
    const others = alike.slice(SHOWN);
    const ids = [...new Set(others.flatMap((line) => CASE.exec(line)?.[1] ?? []))];
    const named = ids.slice(0, NAMED).join(", ") + (ids.length > NAMED ? ", ..." : "");
    return [...alike.slice(0, SHOWN), `and ${others.length} more like this${named && ` (${named})`}`];
  });
}

const CASE = /^case ([^:]+):/;

/** A finding without its case, files and numbers. */
function kindOf(line: string): string {
  const id = CASE.exec(line)?.[1];
  const same = id === undefined ? line : line.replaceAll(id, "");
  return same.replace(/\S*(\/|\.nii|\.hdr)\S*/g, "").replace(/[+-]?\d[\d.]*/g, "");
}

/** Thrown for problems with data. `problems` has one line per problem, which names its file or case. */
export class DataError extends Error {
  readonly problems: readonly string[];

  constructor(problems: string | readonly string[]) {
    const list = typeof problems === "string" ? [problems] : problems;
    const lines = grouped(list).join("\n  ");
    super(list.length === 1 ? list[0] : `${list.length} problems in the data:\n  ${lines}`);
    this.name = "DataError";
    this.problems = list;
  }
}

/**
 * Runs `read` and returns its result. If it throws a DataError, adds its problems to `problems`; rethrows
 * other errors.
 */
export async function collectProblems<T>(
  problems: string[],
  read: () => Promise<T> | T,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    append(problems, error.problems);
    return undefined;
  }
}
