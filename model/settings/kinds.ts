// The kinds of values of settings: how a value is checked in a file, parsed from the command line, and
// described in error messages. A row of the table of settings is made of a kind (see rows.ts).

import * as v from "valibot";
import type { Vec3 } from "../scoring/regions.ts";
import { UsageError } from "./errors.ts";
import { isDuration, isInterval, LONGEST, MOST_STEPS } from "./durations.ts";

export interface Kind<Value> {
  /** Checks a value in a file. */
  schema: v.GenericSchema<Value>;
  /** The accepted values in words: "an integer of at least 1". */
  expected: string;
  /** The placeholder of the value in --help; null for a switch, which takes no value. */
  argument: string | null;
  /** Parses a text of the command line; the schema then checks the value. */
  parse: (text: string) => unknown;
  choices?: readonly string[];
  /** The bounds of a number for a form; the step is 1 for integers. */
  range?: { min: number; max: number; step: number | "any" };
  /** The range of numbers in words, for help and docs: "1 to 1024". */
  limits?: string;
}

/** The largest edge of a patch, in voxels. */
export const LARGEST_EDGE = 1024;

/** The largest seed: with a parameter's name it still gives an exact integer. */
export const LARGEST_SEED = 2 ** 31 - 1;

/** The last fold of a cross-validation. */
const LAST_FOLD = 9999;

/** An integer from `min` to `max`. */
export function whole(min = 1, max = 1e6): Kind<number> {
  const schema = v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));
  const limits = `${min} to ${max}`;
  const range = { min, max, step: 1 };
  return { schema, expected: `an integer from ${limits}`, argument: "n", parse: toNumber, range, limits };
}

/** A number from `min` to `max`. */
export function number(min = 0, max = 1e6): Kind<number> {
  const schema = v.pipe(v.number(), v.finite(), v.minValue(min), v.maxValue(max));
  const limits = `${min} to ${max}`;
  const range = { min, max, step: "any" } as const;
  return { schema, expected: `a number from ${limits}`, argument: "x", parse: toNumber, range, limits };
}

/** A number from 0 to 1. */
export function share(): Kind<number> {
  return { ...number(0, 1), argument: "share" };
}

/** A number above 0 and below 1. */
export function part(): Kind<number> {
  const schema = v.pipe(v.number(), v.gtValue(0), v.ltValue(1));
  const limits = "between 0 and 1";
  return { ...share(), schema, expected: `a number ${limits}`, limits };
}

/** A number above 0, at most 1. */
export function positiveShare(): Kind<number> {
  const schema = v.pipe(v.number(), v.gtValue(0), v.maxValue(1));
  const limits = "above 0, at most 1";
  return { ...share(), schema, expected: `a number ${limits}`, limits };
}

/** A fold of a cross-validation, counted from 0, or all. */
export function foldNumber(): Kind<number | "all"> {
  const { schema, limits, parse } = whole(0, LAST_FOLD);
  return {
    schema: v.union([v.literal("all"), schema]),
    expected: `an integer from ${limits}, or all`,
    argument: "n",
    parse: (text) => (text === "all" ? text : parse(text)),
    limits: `${limits}, or all`,
  };
}

/** One of several names. */
export function choice<const Name extends string>(choices: readonly Name[], argument = "choice"): Kind<Name> {
  const schema = v.picklist(choices) as v.GenericSchema<Name>;
  return { schema, expected: `one of ${choices.join(", ")}`, argument, parse: (text) => text, choices };
}

/** The path of a file or folder. */
export function path(argument: "file" | "folder"): Kind<string> {
  const schema = v.pipe(v.string(), v.nonEmpty());
  return { schema, expected: `the path of a ${argument}`, argument, parse: (text) => text };
}

/** A text that `isValid` accepts. */
export function text(
  argument: string,
  { expected, isValid }: { expected: string; isValid: (text: string) => boolean },
): Kind<string> {
  return { schema: v.pipe(v.string(), v.check(isValid)), expected, argument, parse: (given) => given };
}

/** A duration such as 6h. */
export function duration(): Kind<string> {
  const schema = v.pipe(v.string(), v.check(isDuration));
  const limits = `at most ${LONGEST}`;
  const expected = `a time such as 6h, 90m or 30s, ${limits}`;
  return { schema, expected, argument: "time", parse: (text) => text, limits };
}

/** A duration or a number of steps. */
export function interval(): Kind<string> {
  const schema = v.pipe(v.string(), v.check(isInterval));
  const limits = `at most ${LONGEST}, or ${MOST_STEPS} steps`;
  const expected = `a time such as 5m, or a number of steps, ${limits}`;
  return { schema, expected, argument: "interval", parse: (text) => text, limits };
}

/** On or off: --name, or --no-name to override a file. */
export function onOff(): Kind<boolean> {
  return { schema: v.boolean(), expected: "true or false", argument: null, parse: (text) => text === "true" };
}

/** Voxels along D, H, W. */
export function extent(): Kind<Vec3> {
  const { schema: edge, expected: each, limits } = whole(1, LARGEST_EDGE);
  const expected = `a list [D, H, W], each ${each}`;
  return {
    schema: v.tuple([edge, edge, edge]),
    expected,
    argument: "d,h,w",
    parse: (text) => parsePatch(text),
    limits: `${limits} each`,
  };
}

/** The kind, or null. */
export function optional<Value>(kind: Kind<Value>): Kind<Value | null> {
  return { ...kind, schema: v.nullable(kind.schema), expected: `${kind.expected}, or null` };
}

/** Parses "96,128,128" or "32" as [D, H, W]; throws a UsageError that names `flag`. */
export function parsePatch(text: string, flag = "--patch"): Vec3 {
  const parts = text.split(/[,x]/).map(toNumber);
  const { schema, limits } = whole(1, LARGEST_EDGE);
  if ((parts.length !== 1 && parts.length !== 3) || !parts.every((edge) => v.is(schema, edge)))
    throw new UsageError(`${flag}: expected D,H,W or one edge, ${limits} voxels each, got ${text}`);
  const [d, h = d, w = d] = parts as [number, number?, number?];
  return [d, h, w];
}

function toNumber(text: string): number {
  return text.trim() === "" ? NaN : Number(text);
}
