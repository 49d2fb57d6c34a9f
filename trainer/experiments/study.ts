// A study: the arms that answer whether methods help. Each arm is a student trained by one method with some
// settings, on one data set, with one seed, perhaps with a control in place of its teacher. Every arm is
// compared with the baseline, which learns from labels alone. From a study's parts alone, without files.

import { type Control as AnyControl, CONTROLS as ALL_CONTROLS } from "../loop/controls.ts";
import { methodOf, PLAIN, usesStudents, usesTeacher } from "../../model/methods/index.ts";

/** Changes to a teacher with which a method's gain must vanish. */
export type Control = Exclude<AnyControl, "none">;
export const CONTROLS = ALL_CONTROLS.filter((control): control is Control => control !== "none");

/** Settings of train.js by their names. */
export type Settings = Readonly<Record<string, unknown>>;

/** A method with some of its settings, by the name that tables show. */
export interface Entry {
  name: string;
  method: string;
  settings: Settings;
}

/** A phantom, by what makes it, and how many of its cases train, validate, test, or have no label. */
export interface PhantomSet {
  version: number;
  seed: number;
  size: number;
  train: number;
  val: number;
  test: number;
  /** Further cases whose labels no arm reads; by default 0. */
  unlabelled?: number | undefined;
}

/** A split of the folder that --data names, and perhaps a folder of scans without labels. */
export interface SplitSet {
  split: string | null;
  unlabelled?: string | undefined;
}

/** The data of an arm. */
export type DataSet = { phantom: PhantomSet } | SplitSet;

/** The trainings of an entry: every seed on every data set. */
export interface Repeats {
  seeds: readonly number[];
  sets: readonly DataSet[];
}

/** Weights to choose between, for each of some methods, on data sets that the report does not use. */
export interface Choice extends Repeats {
  methods: readonly string[];
  /** Values of each setting; every combination is tried. */
  grid: Readonly<Record<string, readonly unknown[]>>;
}

export interface Study extends Repeats {
  name: string;
  modalities: readonly string[];
  /** The settings of all arms and of their teachers. */
  settings: Settings;
  /** Compared with the baseline. */
  entries: readonly Entry[];
  controls: readonly Control[];
  /** The names of the entries that controls repeat; with "chosen" those of the choice. */
  controlled: readonly string[];
  choose: Choice | null;
  /** Epochs of the check that a method with all its weights 0 equals the baseline bit for bit; 0: none. */
  zeroEpochs: number;
}

/** An arm's part in the study. */
export type Role = "report" | "choose" | "zero";

export interface Arm extends Entry {
  role: Role;
  control: Control | "none";
  modality: string;
  seed: number;
  set: DataSet;
}

/** The name of an arm in tables. */
export function armTitle({ name, control }: Pick<Arm, "name" | "control">): string {
  return control === "none" ? name : `${name}, ${control} teacher`;
}

/** The entry that all others are compared with. */
export const BASELINE: Entry = { name: PLAIN, method: PLAIN, settings: {} };

/** The word in `controlled` for the entries that the choice yields. */
export const CHOSEN = "chosen";

/** The arms of the choice of weights, none without one. */
export function choosingArms({ choose, modalities }: Study): Arm[] {
  if (!choose) return [];
  const entries = choose.methods.flatMap((method) => candidatesOf(method, choose.grid));
  return repeated(choose, modalities, (modality) =>
    entries.map((entry) => ({ ...entry, role: "choose", control: "none", modality })),
  );
}

/**
 * The arms that the report shows: the baseline, the entries and those that were chosen, their controls, and
 * the checks with weights 0.
 */
export function reportedArms(study: Study, chosen: readonly Entry[] = []): Arm[] {
  const { modalities, controls, controlled } = study;
  const entries = [...study.entries, ...chosen];
  const isControlled = ({ name }: Entry) =>
    controlled.includes(name) || (controlled.includes(CHOSEN) && chosen.some((one) => one.name === name));
  const arms = repeated(study, modalities, (modality): Omit<Arm, "seed" | "set">[] => [
    { ...BASELINE, role: "report", control: "none", modality },
    ...entries.map((entry) => ({ ...entry, role: "report" as const, control: "none" as const, modality })),
    ...entries
      .filter(isControlled)
      .flatMap((entry) =>
        controls
          .filter((control) => canControl(entry, control))
          .map((control) => ({ ...entry, role: "report" as const, control, modality })),
      ),
  ]);
  return [...arms, ...zeroArms(study, entries)];
}

/** A method's combinations of a grid's values: "kd, kdWeight 1, temperature 4". */
export function candidatesOf(method: string, grid: Choice["grid"]): Entry[] {
  const combinations = Object.entries(grid).reduce<Settings[]>(
    (all, [name, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  );
  const own = methodOf(method).settings;
  return combinations.map((settings) => {
    const kept = Object.fromEntries(Object.entries(settings).filter(([name]) => name in own));
    const words = Object.entries(kept).map(([name, value]) => `${name} ${String(value)}`);
    return { name: [method, ...words].join(", "), method, settings: kept };
  });
}

/** Tells whether a control changes something that the entry learns from. */
export function canControl({ method, settings }: Entry, control: Control): boolean {
  const ofStudents = usesStudents(method, settings);
  return control === "twin"
    ? usesTeacher(method, settings) && !ofStudents
    : usesTeacher(method, settings) || ofStudents;
}

/** Tells whether a method can learn from scans without labels. */
export function takesUnlabelled(method: string): boolean {
  return "unlabelled" in methodOf(method).settings;
}

/** Tells whether a data set has scans without labels. */
export function hasUnlabelled(set: DataSet): boolean {
  return Boolean("phantom" in set ? set.phantom.unlabelled : set.unlabelled);
}

/** The baseline and each method with all its weights 0, for a few epochs of the first seed and data set. */
function zeroArms({ zeroEpochs, modalities, seeds, sets }: Study, entries: readonly Entry[]): Arm[] {
  if (zeroEpochs === 0) return [];
  const methods = [...new Set(entries.map(({ method }) => method))].filter(
    (method) => usesTeacher(method) && !usesStudents(method) && !methodOf(method).defaults,
  );
  const place = { modality: modalities[0]!, seed: seeds[0]!, set: sets[0]! };
  return [PLAIN, ...methods].map((method): Arm => {
    const settings = { epochs: zeroEpochs, ...zeroWeights(method) };
    const name = method === PLAIN ? method : `${method}, weights 0`;
    return { name, method, settings, role: "zero", control: "none", ...place };
  });
}

/** The settings that weigh a method's terms, all 0. */
export function zeroWeights(method: string): Settings {
  const weights = Object.entries(methodOf(method).settings).filter(([, { teaches }]) => teaches);
  return Object.fromEntries(weights.map(([name]) => [name, 0]));
}

/** The arms of every data set, seed and modality, in this order: a teacher's students follow each other. */
function repeated(
  { seeds, sets }: Repeats,
  modalities: readonly string[],
  armsOf: (modality: string) => readonly Omit<Arm, "seed" | "set">[],
): Arm[] {
  return sets.flatMap((set) =>
    seeds.flatMap((seed) =>
      modalities.flatMap((modality) => armsOf(modality).map((arm) => ({ ...arm, seed, set }))),
    ),
  );
}

/** A data set in a word or two, for file names: "phantom1-7", "phantom1-7-unlabelled40", "split2". */
export function setName(set: DataSet, sets: readonly DataSet[]): string {
  if ("phantom" in set) {
    const { version, seed, unlabelled } = set.phantom;
    return `phantom${version}-${seed}${unlabelled ? `-unlabelled${unlabelled}` : ""}`;
  }
  return `split${sets.indexOf(set) + 1}`;
}
