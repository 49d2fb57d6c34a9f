// Errors in the user's data, as opposed to errors in the program or the command line. One error carries all
// problems that were found, so that a user can fix a folder in one go.

/** Thrown for problems with data. `problems` has one line per problem, which names its file or case. */
export class DataError extends Error {
  readonly problems: readonly string[];

  constructor(problems: string | readonly string[]) {
    const list = typeof problems === "string" ? [problems] : problems;
    super(list.length === 1 ? list[0] : `${list.length} problems in the data:\n  ${list.join("\n  ")}`);
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
    problems.push(...error.problems);
    return undefined;
  }
}
