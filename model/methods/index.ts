// All methods. To add one, write its file and add a row here: flags, help, the page's form and the reports
// follow.

import { VNET } from "../networks/layers.ts";
import type { SettingRows } from "../settings/rows.ts";
import { adain } from "./adain.ts";
import { amtml } from "./amtml.ts";
import { barlow } from "./barlow.ts";
import { desd } from "./desd.ts";
import { kd } from "./kd.ts";
import { kdnet } from "./kdnet.ts";
import { type Method, type NetworkSpec, type Role, type Run, type Stream, TEACHER } from "./method.ts";
import { none } from "./none.ts";
import { pmkl } from "./pmkl.ts";
import { protokd } from "./protokd.ts";
import { pseudo } from "./pseudo.ts";
import { uagan } from "./uagan.ts";
import { ummkd } from "./ummkd.ts";
import { wsd } from "./wsd.ts";

export type * from "./method.ts";
export { DICE, TEACHER } from "./method.ts";

/** Every method by its name, in the order of tables and of the page's form. */
export const METHODS = { none, kd, protokd, pseudo, kdnet, pmkl, barlow, amtml, adain, ummkd, uagan, wsd };

/** Every pretraining by its name: a method without labels, whose encoder later stages start from. */
export const PRETRAININGS = { desd };

export type MethodName = keyof typeof METHODS;
type AnyName = MethodName | keyof typeof PRETRAININGS;

/** A student's default method. */
export const DEFAULT_METHOD: MethodName = "protokd";

/** The default method of the stage "pretrain". */
export const DEFAULT_PRETRAINING: keyof typeof PRETRAININGS = "desd";

/** The method of a teacher. */
export const PLAIN: MethodName = "none";

const BY_NAME: Readonly<Record<string, Method>> = { ...METHODS, ...PRETRAININGS };

/** Returns the method or pretraining of this name; throws unless there is one. */
export function methodOf(name: string): Method {
  const found = BY_NAME[name];
  if (found) return found;
  throw new Error(`method: expected one of ${Object.keys(BY_NAME).join(", ")}, got ${name}`);
}

/** The title of a method for tables and reports; an unknown name (a newer version's) is its own title. */
export function titleOf(name: string): string {
  return BY_NAME[name]?.title ?? name;
}

/** Tells whether a method's network says which regions a patch shows, and segments nothing. */
export function classifies(name: string): boolean {
  return BY_NAME[name]?.classifies ?? false;
}

/** The methods that every other one is compared with. */
const BASELINES: readonly MethodName[] = ["none", "kd"];

/**
 * The methods that --baselines trains beside a method; for a baseline those before it, for an unknown name
 * none.
 */
export function baselinesOf(name: string): readonly string[] {
  const place = BASELINES.findIndex((baseline) => baseline === name);
  return place >= 0 ? BASELINES.slice(0, place) : name in METHODS ? BASELINES : [];
}

/** The default settings of a method. */
export function defaultSettings({ settings, defaults = {} }: Method): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(settings).map(([name, row]) => [name, name in defaults ? defaults[name] : row.default]),
  );
}

/** The streams of batches that a method's step takes. */
export function streamsOf(method: Method, run: Run): Readonly<Record<string, Stream>> {
  return method.streams?.(run) ?? { paired: {} };
}

/**
 * The networks of a method's step. Where a network teaches itself, it takes the place of the frozen teacher:
 * a pass on every contrast of a case, in evaluation mode and without gradient.
 */
export function rolesOf(method: Method, run: Run): Readonly<Record<string, Role>> {
  const roles = method.networks(run);
  if (!run.selfTaught) return roles;
  const own = ([name, role]: [string, Role]): [string, Role] =>
    "frozen" in role && role.frozen === TEACHER ? [name, { sameAs: method.deployed! }] : [name, role];
  return Object.fromEntries(Object.entries(roles).map(own));
}

/** The networks that a method trains beside the deployed one and that are kept, with their names. */
export function trainedBeside(method: Method, run: Run): [name: string, spec: NetworkSpec][] {
  return Object.entries(rolesOf(method, run)).flatMap(([name, role]): [string, NetworkSpec][] =>
    "spec" in role && !role.onlyInTraining && name !== method.deployed ? [[name, role.spec]] : [],
  );
}

/** The names of the stages whose networks a method needs frozen. */
export function frozenStages(method: Method, run: Run): string[] {
  return Object.values(rolesOf(method, run)).flatMap((role) => ("frozen" in role ? [role.frozen] : []));
}

type Given = Readonly<Record<string, unknown>>;

/** Tells whether a method, with its default settings, learns from a network that was trained before. */
export function isTaught(name: string): boolean {
  return stagesBefore(name, {}).length > 0;
}

/** Tells whether a method, with some of its settings given, learns from the network of the stage TEACHER. */
export function usesTeacher(name: string, given: Given = {}): boolean {
  return stagesBefore(name, given).includes(TEACHER);
}

/** The same for students that were trained before in the same run. */
export function usesStudents(name: string, given: Given = {}): boolean {
  return stagesBefore(name, given).some((stage) => stage !== TEACHER);
}

function stagesBefore(name: string, given: Given): string[] {
  const method = methodOf(name);
  const network = { config: { ...VNET, modalities: 1 }, modalities: ["t1"] };
  const optimizer = {
    optimizer: "adam",
    lr: 0,
    schedule: "constant",
    weightDecay: 0,
    momentum: 0,
    clip: 0,
  } as const;
  const settings = { ...defaultSettings(method), ...given };
  const run: Run = { settings, network, modalities: ["t1"], optimizer };
  return frozenStages(method, run);
}

type Rows<Name extends AnyName> = (typeof METHODS & typeof PRETRAININGS)[Name]["settings"];
type Intersection<Union> = (Union extends unknown ? (part: Union) => void : never) extends (
  all: infer All,
) => void
  ? All
  : never;

/** The settings of all methods; methods may share a row. */
export const METHOD_SETTINGS = Object.assign(
  {},
  ...Object.values(BY_NAME).map((m) => m.settings),
) as Intersection<Rows<AnyName>> & SettingRows;

/** The settings of other methods, which this one does not use. */
export function unusedSettings(name: string): string[] {
  const { settings } = methodOf(name);
  return Object.keys(METHOD_SETTINGS).filter((setting) => !(setting in settings));
}
