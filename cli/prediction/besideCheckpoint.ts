// Files that training writes beside a checkpoint, and that hold for this checkpoint alone.

import { dirname, join } from "node:path";
import * as v from "valibot";
import { faultOf } from "../../data/datasets/json.ts";
import { CheckpointError } from "../../model/errors.ts";
import { fileChecksum } from "../files/inputs.ts";
import { say } from "../terminal/console.ts";
import { readFile } from "../terminal/userFile.ts";

/** The words of the messages about such a file. */
interface Words {
  /** After the name of a file of another content. */
  expected: string;
  /** Before and after the remedy of a file that cannot be read, or has another content. */
  unreadable: string;
  remedy: string;
  /** Before the checkpoint of a file that belongs to another one, and after it. */
  other: readonly [string, string];
}

/**
 * Returns the content of the file `name` beside a checkpoint; null without it, or where it was written for
 * another checkpoint. A file without a checksum, of an older version, counts. Throws a CheckpointError.
 */
export async function readBeside<Stored extends { checkpoint?: string }>(
  checkpoint: string,
  name: string,
  schema: v.GenericSchema<unknown, Stored>,
  words: Words,
): Promise<Stored | null> {
  const path = join(dirname(checkpoint), name);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    throw new CheckpointError(`${path}: ${message}: ${words.unreadable}`);
  }
  let stored: Stored;
  try {
    stored = v.parse(schema, JSON.parse(text));
  } catch (error) {
    throw new CheckpointError(`${path}: expected ${words.expected} (${faultOf(error)}): ${words.remedy}`);
  }
  if (stored.checkpoint === undefined || stored.checkpoint === (await fileChecksum(checkpoint)))
    return stored;
  const [before, after] = words.other;
  say(`${path}: ${before} another checkpoint than ${checkpoint}: ${after}`);
  return null;
}
