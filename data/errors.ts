// What is wrong with the user's data, as opposed to with the program or the command. One error carries
// every problem that was found, so that a folder is mended in one go.

/** Thrown for everything wrong with data; `problems` has one line each, naming its file or case. */
export class DataError extends Error {
  readonly problems: readonly string[];

  constructor(problems: string | readonly string[]) {
    const list = typeof problems === "string" ? [problems] : problems;
    super(list.length === 1 ? list[0] : `${list.length} problems in the data:\n  ${list.join("\n  ")}`);
    this.name = "DataError";
    this.problems = list;
  }
}

/** Runs `read` and returns its result; a DataError's problems go to `problems`, other errors go on. */
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
