// Reads a study from the content of a file: { "size": "hour", "seeds": [0, 1, 2, 3] } changes one of the
// sizes. All mistakes are found at once, and each says how to mend it.

import * as v from "valibot";
import { append } from "../../engine/values.ts";
import { methodOf, METHODS, PLAIN } from "../../model/methods/index.ts";
import { LARGEST_SEED, whole } from "../../model/settings/kinds.ts";
import { checkSettings, shown } from "../settings/check.ts";
import { studentOf } from "../settings/contrasts.ts";
import {
  BASELINE,
  CHOSEN,
  CONTROLS,
  type DataSet,
  type Entry,
  hasUnlabelled,
  type Settings,
  type Study,
} from "./study.ts";
import { type Size, SIZES, STUDIES } from "./studySizes.ts";

/** Settings that the study itself gives its arms. */
const OWN = [
  ["stage", "method", "modality", "data", "out", "seed", "fold", "split", "teacher", "control"],
  ["parity", "recipe", "init", "initEncoder", "selfTaught", "unlabelled"],
].flat();

const seed = whole(0, LARGEST_SEED);
const cases = (least: number) => whole(least, 9999).schema;
const text = v.pipe(v.string(), v.minLength(1));
const list = <T extends v.GenericSchema>(item: T) => v.pipe(v.array(item), v.minLength(1));

/** The keys of a file: the schema of each, and its values in words. */
const KEYS = {
  size: [v.picklist(SIZES), `one of ${SIZES.join(", ")}`],
  name: [v.pipe(v.string(), v.regex(/^[\w -]{1,40}$/)), "up to 40 letters, digits, spaces, - and _"],
  modalities: [list(text), 'a list of contrasts, like ["t1ce", "t1+flair"]'],
  seeds: [list(seed.schema), `a list of integers, each from ${seed.limits}`],
  sets: [
    list(
      v.union([
        v.strictObject({
          phantom: v.strictObject({
            version: v.optional(whole(1, 1000).schema, 2), // studyData.ts names those there are
            seed: seed.schema,
            size: whole(16, 512).schema,
            train: cases(1),
            val: cases(1),
            test: cases(2),
            unlabelled: v.optional(cases(0)),
          }),
        }),
        v.strictObject({ split: v.nullable(text), unlabelled: v.optional(text) }),
      ]),
    ),
    'a list of data sets, like [{"phantom": {"seed": 1, "size": 48, "train": 16, "val": 4, "test": 24}}] or, with ' +
      '--data, [{"split": "a.json"}]',
  ],
  settings: [v.record(v.string(), v.unknown()), 'settings of train.js, like {"epochs": 20}'],
  entries: [
    list(
      v.strictObject({
        name: text,
        method: text,
        settings: v.optional(v.record(v.string(), v.unknown()), {}),
      }),
    ),
    'a list like [{"name": "kd, strong", "method": "kd", "settings": {"kdWeight": 4}}]',
  ],
  controls: [v.array(v.picklist(CONTROLS)), `a list of some of ${CONTROLS.join(", ")}`],
  controlled: [v.array(text), `a list of names of entries, or of "${CHOSEN}"`],
  zeroEpochs: [whole(0).schema, whole(0).expected],
  choose: [
    v.nullable(
      v.strictObject({
        methods: list(text),
        grid: v.record(v.string(), list(v.unknown())),
        seeds: list(seed.schema),
        sets: v.array(v.unknown()),
      }),
    ),
    'null, or {"methods": ["kd"], "grid": {"kdWeight": [1, 4]}, "seeds": [0], "sets": [...]}',
  ],
} as const satisfies Record<string, readonly [v.GenericSchema, string]>;

/** Returns the study in a file's content, and the mistakes in it; without any, the study is whole. */
export function readStudy(found: object, usual: Size = "hour"): { study: Study; problems: string[] } {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(found)) {
    const known = Object.hasOwn(KEYS, key) ? KEYS[key as keyof typeof KEYS] : null;
    if (!known) problems.push(`${key}: a study has no such key: it has ${Object.keys(KEYS).join(", ")}`);
    else {
      const parsed = v.safeParse(known[0] as v.GenericSchema, value);
      if (parsed.success) values[key] = parsed.output;
      else problems.push(`${key}: expected ${known[1]}, got ${shown(value)}${placeOf(parsed.issues[0])}`);
    }
  }
  const { size = usual, choose, ...given } = values as Partial<Study> & { size?: Size };
  const base = STUDIES[size];
  const merged: Study = { ...base, ...given, choose: choose === undefined ? base.choose : choose };
  const all = [...merged.entries.map(({ name }) => name), ...(merged.choose ? [CHOSEN] : [])];
  const study = given.entries && !given.controlled ? { ...merged, controlled: all } : merged;
  if (choose) append(problems, choiceProblems(choose.sets));
  if (!problems.length) append(problems, mistakes(study));
  return { study, problems };
}

/** Where in a value its first mistake is. */
function placeOf(issue: v.BaseIssue<unknown> | undefined): string {
  const path = issue && v.getDotPath(issue);
  return path ? ` (at ${path})` : "";
}

function choiceProblems(sets: unknown): string[] {
  const [schema, expected] = KEYS.sets;
  return v.is(schema, sets) ? [] : [`choose.sets: expected ${expected}, got ${shown(sets)}`];
}

/** The parts of a study that do not fit together, a line each. */
export function mistakes(study: Study): string[] {
  const { entries, controlled, modalities, seeds, sets, choose, settings } = study;
  const names = entries.map(({ name }) => name);
  return [
    ...modalities.flatMap((modality) => contrastProblem(modality)),
    ...twice("modalities", modalities),
    ...twice("seeds", seeds),
    ...twice(
      "sets",
      sets.map((set) => JSON.stringify(set)),
    ),
    ...twice("entries", names),
    ...settingProblems("settings", settings),
    ...entries.flatMap(entryProblems),
    ...entries.flatMap(({ method }, at) => unlabelledProblem(`entries[${at}]`, method, sets)),
    ...controlled
      .filter((name) => name !== CHOSEN && !names.includes(name))
      .map((name) => `controlled: no entry is called ${shown(name)}: there are ${names.join("; ")}`),
    ...(choose ? choosingProblems(choose, sets) : []),
  ];
}

function entryProblems({ name, method, settings }: Entry, at: number): string[] {
  const where = `entries[${at}]`;
  if (name === BASELINE.name || name === CHOSEN)
    return [`${where}: the name ${name} is taken: choose another one`];
  if (method === PLAIN) return [`${where}: ${PLAIN} is the baseline already: name another method`];
  return [...methodProblem(where, method), ...settingProblems(`${where}.settings`, settings)];
}

function choosingProblems(choose: NonNullable<Study["choose"]>, sets: readonly DataSet[]): string[] {
  const reported = new Set(sets.map((set) => JSON.stringify(set)));
  const both = choose.sets.filter((set) => reported.has(JSON.stringify(set)));
  return [
    ...choose.methods.flatMap((method) => methodProblem("choose.methods", method)),
    ...choose.methods.flatMap((method) =>
      unlabelledProblem("choose.methods", method, [...choose.sets, ...sets]),
    ),
    ...twice("choose.methods", choose.methods),
    ...twice("choose.seeds", choose.seeds),
    ...Object.entries(choose.grid).flatMap(([name, values]) =>
      values.flatMap((value) => settingProblems("choose.grid", { [name]: value })),
    ),
    ...both.map(
      (set) =>
        `choose.sets: ${shown(set)} is reported too: choose weights on other data, such as another seed`,
    ),
  ];
}

function methodProblem(where: string, method: string): string[] {
  const known = Object.keys(METHODS).filter((name) => name !== PLAIN);
  return known.includes(method)
    ? []
    : [`${where}: expected one of ${known.join(", ")}, got ${shown(method)}`];
}

function unlabelledProblem(where: string, method: string, sets: readonly DataSet[]): string[] {
  const isKnown = Object.hasOwn(METHODS, method);
  if (!isKnown || !methodOf(method).needsUnlabelled || sets.every(hasUnlabelled)) return [];
  return [
    `${where}: ${method} needs scans without labels: give each data set some, as in ` +
      '{"phantom": {..., "unlabelled": 40}} or {"split": "a.json", "unlabelled": "scans"}',
  ];
}

function settingProblems(where: string, settings: Settings): string[] {
  const own = Object.keys(settings).filter((name) => OWN.includes(name));
  return [
    ...own.map((name) => `${where}: ${name} is the study's own: leave it to the study`),
    ...checkSettings(settings).problems.map((problem) => `${where}: ${problem}`),
  ];
}

function contrastProblem(modality: string): string[] {
  try {
    studentOf("modalities", modality);
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

function twice(key: string, values: readonly (string | number)[]): string[] {
  const again = [...new Set(values.filter((value, i) => values.indexOf(value) < i))];
  return again.map((value) => `${key}: ${value} is there twice: remove one`);
}
