// Errors about checkpoint files.

/** A file that is not a checkpoint, or is damaged, or belongs to another network; the message names it. */
export class CheckpointError extends Error {
  override readonly name: string = "CheckpointError";
}

/** A training state of an older version of this program; the message says what to do. */
export class OldStateError extends CheckpointError {
  override readonly name = "CheckpointError";
}
