// Errors that say whose turn it is, for the command line's exit codes and the page's words.

/** A setting or option that is wrong, or two that do not go together; its message says how to mend it. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
