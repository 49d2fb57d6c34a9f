// A row of the table of settings: a kind of value, and all that is said about it.

import type * as v from "valibot";
import type { Kind } from "./kinds.ts";

/** What is said about a kind of value to make it a setting. */
export interface Row<Value> {
  help: string;
  /** Where nothing is said: the published experiment's (methods of Wang et al. §1.3, §1.9), or nnU-Net's. */
  default?: Value;
  /** How --help puts the default, where it is no value: it is found when the run is known. */
  defaultHelp?: string;
  /** On the built-in phantom, in minutes on two cores: its few steps need the higher rate. */
  phantom?: Value;
  /** The published code's choice, if it is another (§1.1, §1.3, §1.4, §1.9, §1.10): what --parity stands for. */
  parity?: Value | ((run: { method: string; epochs: number }) => Value);
  /** How --help puts it, where it depends on the run. */
  parityHelp?: string;
  /** The label of its field in the page's form, and the field's first value if that is not the phantom's or the default. */
  page?: { label: string; value?: Value };
  /** In --help, instead of the kind's. */
  argument?: string | null;
  /** False: two runs of different values are the same run, such as where it is kept and on what it ran. */
  counts?: false;
  /** False: nothing to say on the command line; the run itself writes it into config.json. */
  flag?: false;
}

export type Setting = Kind<unknown> & Row<unknown> & { group: string };

/** Rows by the names of their settings. */
export type SettingRows = Readonly<Record<string, Kind<unknown> & Row<unknown>>>;

/** The values of settings with these rows. */
export type SettingValues<Rows extends SettingRows> = {
  readonly [Name in keyof Rows]: v.InferOutput<Rows[Name]["schema"]>;
};

/** A setting of this kind. */
export function row<Value, const Said extends Row<Value>>(kind: Kind<Value>, said: Said): Kind<Value> & Said {
  return { ...kind, ...said };
}

/** Rows under a heading of --help. */
export function group<Rows extends Record<string, object>>(
  heading: string,
  rows: Rows,
): { [Key in keyof Rows]: Rows[Key] & { group: string } } {
  const named = Object.entries(rows).map(([key, setting]) => [key, { ...setting, group: heading }]);
  return Object.fromEntries(named) as { [Key in keyof Rows]: Rows[Key] & { group: string } };
}
