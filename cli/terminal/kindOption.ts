// Options of commander whose values are of a kind of setting: help and errors name their range.

import { InvalidArgumentError, Option } from "commander";
import * as v from "valibot";
import type { Kind } from "../../model/settings/kinds.ts";

/** Returns an option for a number; its help ends with the range. */
export function numberOption<Value>(flags: string, help: string, kind: Kind<Value>): Option {
  return new Option(flags, `${help} (${kind.limits})`).argParser((text) => parseText(kind, text));
}

/** Parses a text of the command line, for commander. */
export function parseText<Value>({ parse, schema, expected }: Kind<Value>, text: string): Value {
  const value = parse(text);
  if (v.is(schema, value)) return value;
  throw new InvalidArgumentError(`expected ${expected}.`);
}
