// A row of the table of settings: a kind of value, with its help, its defaults and its field in the page's
// form.

import type * as v from "valibot";
import type { Kind } from "./kinds.ts";

/** Everything about a setting but its kind of value. */
export interface Row<Value> {
  help: string;
  /** The published experiment's value (methods of Wang et al. §1.3, §1.9), or nnU-Net's. */
  default?: Value;
  /** The default in words for --help, where its value depends on the run. */
  defaultHelp?: string;
  /** The default on the built-in phantom, which trains in minutes on two cores. */
  phantom?: Value;
  /**
   * The published code's value, where it differs from the default (§1.1, §1.3, §1.4, §1.9, §1.10); for
   * --parity.
   */
  parity?: Value | ((run: { method: string; epochs: number }) => Value);
  /** The same in words for --help, where it depends on the run. */
  parityHelp?: string;
  /** nnU-Net's value, where it differs from the default; for --recipe nnunet. */
  nnunet?: Value;
  /**
   * The label of its field in the page's form, and the field's first value if it differs from the phantom's
   * and default.
   */
  page?: { label: string; value?: Value };
  /** The placeholder of its value in --help, instead of the kind's. */
  argument?: string | null;
  /** False: runs that differ in this setting alone count as the same run. */
  counts?: false;
  /** True for the weight of a teacher's term: at 0 the method does not run the teacher for it. */
  teaches?: true;
  /** False: has no flag; the run itself writes it into config.json. */
  flag?: false;
}

export type Setting = Kind<unknown> & Row<unknown> & { group: string };

/** Rows by the names of their settings. */
export type SettingRows = Readonly<Record<string, Kind<unknown> & Row<unknown>>>;

/** The values of settings with these rows. */
export type SettingValues<Rows extends SettingRows> = {
  readonly [Name in keyof Rows]: v.InferOutput<Rows[Name]["schema"]>;
};

/** Makes a row of a kind of value. */
export function row<Value, const Given extends Row<Value>>(
  kind: Kind<Value>,
  given: Given,
): Kind<Value> & Given {
  return { ...kind, ...given };
}

/** Puts rows under a heading of --help. */
export function group<Rows extends Record<string, object>>(
  heading: string,
  rows: Rows,
): { [Key in keyof Rows]: Rows[Key] & { group: string } } {
  const named = Object.entries(rows).map(([key, setting]) => [key, { ...setting, group: heading }]);
  return Object.fromEntries(named) as { [Key in keyof Rows]: Rows[Key] & { group: string } };
}
