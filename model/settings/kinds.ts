// The kinds of value that a setting has: what it is in a file, how it is read from the command line, and what is
// said to be expected where it is neither. A row of settings.ts is a kind and what is said about it.

import * as v from "valibot";
import type { Vec3 } from "../scoring/regions.ts";
import { UsageError } from "./errors.ts";
import { isDuration, isInterval } from "./durations.ts";

export interface Kind<Value> {
  /** Of the value in a file. */
  schema: v.GenericSchema<Value>;
  /** In words: "an integer of at least 1". */
  expected: string;
  /** What stands for the value in --help; null for a switch, which takes none. */
  argument: string | null;
  /** The value that a text of the command line stands for; the schema has the last word. */
  parse: (text: string) => unknown;
  choices?: readonly string[];
  /** The bounds of a number in a form; whole numbers have a step of 1. */
  range?: { min: number; max?: number; step: number | "any" };
}

/** An integer of at least `min`. */
export function whole(min = 1): Kind<number> {
  const schema = v.pipe(v.number(), v.safeInteger(), v.minValue(min));
  const expected = `an integer of at least ${min}`;
  return { schema, expected, argument: "n", parse: toNumber, range: { min, step: 1 } };
}

/** A number of at least `min`. */
export function number(min = 0): Kind<number> {
  const schema = v.pipe(v.number(), v.finite(), v.minValue(min));
  const expected = `a number of at least ${min}`;
  return { schema, expected, argument: "x", parse: toNumber, range: { min, step: "any" } };
}

/** A number from 0 to 1. */
export function share(): Kind<number> {
  const schema = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
  const range = { min: 0, max: 1, step: "any" } as const;
  return { schema, expected: "a number from 0 to 1", argument: "share", parse: toNumber, range };
}

/** Which fold of a cross-validation. */
export function foldNumber(): Kind<number | "all"> {
  const schema = v.union([v.literal("all"), v.pipe(v.number(), v.safeInteger(), v.minValue(0))]);
  const parse = (text: string) => (text === "all" ? text : toNumber(text));
  return { schema, expected: "an integer of at least 0, or all", argument: "n", parse };
}

/** One of several names. */
export function choice<const Name extends string>(choices: readonly Name[], argument = "choice"): Kind<Name> {
  const schema = v.picklist(choices) as v.GenericSchema<Name>;
  return { schema, expected: `one of ${choices.join(", ")}`, argument, parse: (text) => text, choices };
}

/** Any text but none: the path of a file or folder. */
export function path(argument: "file" | "folder"): Kind<string> {
  const schema = v.pipe(v.string(), v.nonEmpty());
  return { schema, expected: `the path of a ${argument}`, argument, parse: (text) => text };
}

/** A length of time, as 6h. */
export function duration(): Kind<string> {
  const schema = v.pipe(v.string(), v.check(isDuration));
  return { schema, expected: "a time such as 6h, 90m or 30s", argument: "time", parse: (text) => text };
}

/** A length of time, or a number of steps. */
export function interval(): Kind<string> {
  const schema = v.pipe(v.string(), v.check(isInterval));
  const expected = "a time such as 5m, or a number of steps";
  return { schema, expected, argument: "interval", parse: (text) => text };
}

/** On or off: --name, or --no-name against a file that says so. */
export function onOff(): Kind<boolean> {
  return { schema: v.boolean(), expected: "true or false", argument: null, parse: (text) => text === "true" };
}

/** Voxels along D, H, W. */
export function extent(): Kind<Vec3> {
  const edge = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
  const expected = "a list [D, H, W] of integers of at least 1";
  return { schema: v.tuple([edge, edge, edge]), expected, argument: "d,h,w", parse: parsePatch };
}

/** The kind, or null where nothing is said. */
export function optional<Value>(kind: Kind<Value>): Kind<Value | null> {
  return { ...kind, schema: v.nullable(kind.schema), expected: `${kind.expected}, or null` };
}

/** "96,128,128" or "32" as [D, H, W]; throws a UsageError that names `flag`. */
export function parsePatch(text: string, flag = "--patch"): Vec3 {
  const parts = text.split(/[,x]/).map(Number);
  if ((parts.length !== 1 && parts.length !== 3) || parts.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new UsageError(`${flag}: expected D,H,W or one edge in voxels, got ${text}`);
  }
  const [d, h = d, w = d] = parts as [number, number?, number?];
  return [d, h, w];
}

function toNumber(text: string): number {
  return text.trim() === "" ? NaN : Number(text);
}
