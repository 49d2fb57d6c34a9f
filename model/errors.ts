// Errors of files that hold networks or trainings.

/** A file that is not a checkpoint, or is damaged, or belongs to another network; the message names it. */
export class CheckpointError extends Error {
  override readonly name: string = "CheckpointError";
}

/** A training state that an older version of this program wrote; the message says what can be done with it. */
export class OldStateError extends CheckpointError {
  override readonly name = "CheckpointError";
}
