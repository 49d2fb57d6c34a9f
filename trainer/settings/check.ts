// Checks settings that come from a file: their names, and the kinds of their values.

import * as v from "valibot";
import { smallest } from "../../engine/values.ts";
import { choice, onOff } from "../../model/settings/kinds.ts";
import { type GivenSettings, type Recipe, RECIPES, type SettingName, SETTINGS } from "./settings.ts";

/**
 * Settings in a file. With `parity` those that it lacks are the published code's, with `recipe` nnU-Net's.
 */
export type FileSettings = GivenSettings & { parity?: boolean; recipe?: Recipe };

const KINDS = { ...SETTINGS, parity: onOff(), recipe: choice(RECIPES) };

/** Returns the settings in an object that are not null, and the mistakes among them. */
export function checkSettings(found: object): { settings: FileSettings; problems: string[] } {
  const problems: string[] = [];
  const settings: [string, unknown][] = [];
  for (const [name, value] of Object.entries(found)) {
    if (!Object.hasOwn(KINDS, name)) problems.push(`${name}: no setting has this name${nearest(name)}`);
    else if (!v.is(KINDS[name as SettingName].schema, value))
      problems.push(`${name}: expected ${KINDS[name as SettingName].expected}, got ${shown(value)}`);
    else if (value !== null) settings.push([name, value]);
  }
  return { settings: Object.fromEntries(settings) as FileSettings, problems };
}

/** A value as JSON, shortened. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** ": did you mean kdWeight?" with the nearest known name; where none is near, all names. */
function nearest(name: string): string {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const wanted = plain(name.slice(0, 64));
  const known = Object.keys(KINDS);
  const distances = known.map((other) => editDistance(wanted, plain(other)));
  const least = smallest(distances);
  if (least > Math.max(1, Math.min(3, wanted.length / 3))) return `: known are ${known.join(", ")}`;
  return `: did you mean ${known[distances.indexOf(least)]}?`;
}

/** The number of letters to insert, delete, replace or swap with the next that turns a into b. */
function editDistance(a: string, b: string): number {
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + Number(a[i - 1] !== b[j - 1]);
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, replaced);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) row[j] = Math.min(row[j]!, before[j - 2]! + 1);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}
