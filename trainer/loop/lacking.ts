// Batches of cases that lack contrasts. A teacher that sees one of these is not run on them, so that the
// labels alone teach.

import type { Method } from "../../model/methods/index.ts";
import type { Batches } from "./options.ts";
import type { Members } from "./members.ts";

/** Tells whether a case of the batches lacks a contrast that a frozen network needs. */
export function untaught(batches: Batches, members: Members): boolean {
  const needed = Object.values(members).flatMap(({ role, spec }) =>
    "frozen" in role && !spec.any ? spec.modalities : [],
  );
  const absent = Object.values(batches).flatMap((batch) => batch.absent?.flat() ?? []);
  return absent.some((name) => needed.includes(name));
}

/** Returns a method's settings with the weights of the teacher's terms at 0. */
export function withoutTeacher(
  { settings: rows }: Method,
  settings: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const weights = Object.keys(rows).filter((name) => rows[name]!.teaches);
  return { ...settings, ...Object.fromEntries(weights.map((name) => [name, 0])) };
}

/** Returns the batches as if no case lacked anything: the kernels of a step on these are planned first. */
export function asWhole(batches: Batches): Batches {
  const whole = Object.entries(batches).map(([name, { absent: _, ...batch }]) => [name, batch]);
  return Object.fromEntries(whole) as Batches;
}
