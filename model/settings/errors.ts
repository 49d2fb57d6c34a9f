// The error of wrong use, which has an exit code of its own.

/** A wrong setting or option, or two that conflict; the message says how to correct it. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
