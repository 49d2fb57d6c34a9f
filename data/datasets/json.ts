// Reads text and JSON that people write, and JSON that the program wrote itself: every such file of the
// project comes through here.

import * as v from "valibot";
import { jsonFault } from "../../engine/values.ts";
import { DataError } from "../errors.ts";

const LONGEST = 16 << 20; // bytes: a list of all cases of BraTS 2023 has one megabyte

/**
 * Returns the text of a file, without a byte order mark. Throws a DataError that names `where` for a file
 * that is too long, is UTF-16, or is no text.
 */
export function textOf(bytes: Uint8Array, where: string, longest = LONGEST): string {
  const refuse = (expected: string, got: string): never => {
    throw new DataError(`${where}: expected ${expected}, got ${got}`);
  };
  if (bytes.length > longest) refuse(`at most ${longest} bytes`, String(bytes.length));
  const [first, second] = bytes;
  const marked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  const halves = bytes.length > 1 && (first === 0) !== (second === 0);
  if (marked || halves) refuse("text in UTF-8", "a file that is UTF-16: save it as UTF-8");
  if (bytes.includes(0)) refuse("text in UTF-8", "bytes that are 0: copy or write the file again");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refuse("text in UTF-8", "other bytes: save it as UTF-8");
  }
}

/** Returns the value in a JSON file. Throws a DataError that names `where` if it is not valid. */
export function jsonOf(bytes: Uint8Array, where: string): unknown {
  const text = textOf(bytes, where);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DataError(`${where}: expected JSON, got text that is not valid: ${jsonFault(error)}`);
  }
}

/** A kind of file that the program writes and reads back. */
export interface OwnFile<Content> {
  /** Its content in words: "the scores of a stage". */
  content: string;
  /** The way to mend a damaged one. */
  remedy: string;
  schema: v.GenericSchema<unknown, Content>;
}

/** The content of such a file. Throws a DataError that names it and the remedy, and shows nothing of it. */
export function parseOwn<Content>(
  text: string,
  path: string,
  { content, remedy, schema }: OwnFile<Content>,
): Content {
  const refuse = (got: string): never => {
    throw new DataError(`${path}: expected ${content}, got ${got}: ${remedy}`);
  };
  try {
    return v.parse(schema, JSON.parse(text));
  } catch (error) {
    return refuse(`other content (${faultOf(error)})`);
  }
}

/** The place and reason of a fault in a file's content, without any of its text. */
export function faultOf(error: unknown): string {
  return v.isValiError(error) ? `at ${v.getDotPath(error.issues[0]) ?? "its top"}` : jsonFault(error);
}

/** An object whose values all fit a schema. (v.record() would drop the name "prototype".) */
export function valuesOf<Value>(
  schema: v.GenericSchema<unknown, Value>,
): v.GenericSchema<unknown, Record<string, Value>> {
  return v.custom<Record<string, Value>>(
    (value) =>
      typeof value === "object" &&
      value !== null &&
      !Array.isArray(value) &&
      Object.values(value).every((one) => v.is(schema, one)),
  );
}
