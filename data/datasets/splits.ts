// The split into training, validation and test cases: drawn as in the published experiments, drawn as
// nnU-Net's five folds (with its random numbers), or read from a file in our format or nnU-Net's. For lists
// of names see splitLists.ts.

import * as v from "valibot";
import { Random } from "../../engine/autograd/random.ts";
import { append, jsonFault } from "../../engine/values.ts";
import { DataError } from "../errors.ts";
import { MersenneTwister } from "./mersenne.ts";
import { APART, listed, patientGroups, type PatientOf, patientsBy } from "./patients.ts";

/** The case ids of each set. */
export interface Split {
  train: string[];
  val: string[];
  test: string[];
}

/** One entry of nnU-Net's splits_final.json. `test` is an extension: the fold's own test cases. */
export interface Fold {
  train: string[];
  val: string[];
  test?: string[] | undefined;
}

/**
 * The seed of all splits (nnU-Net's). It does not depend on --seed, so that all runs share their test cases.
 */
export const SPLIT_SEED = 12345;

/** The file in a data folder that gives the split, if there is one. */
export const SPLIT_FILE = "split.json";

/** The number of folds, as in nnU-Net. */
export const FOLDS = 5;

/** The shares of training, validation and test cases in the published experiments. */
const FRACTIONS = [0.7, 0.1, 0.2] as const;

/**
 * Splits case ids at random, the same way for the same ids (in any order) and seed. The cases of a patient
 * stay together: the fractions are of the patients. The training and test sets have at least one patient;
 * validation may be empty. Throws DataError for fewer than two patients, or an id given twice.
 */
export function splitCases(
  ids: readonly string[],
  {
    seed,
    fractions = FRACTIONS,
    patientOf = patientsBy(APART),
  }: { seed: number; fractions?: readonly [number, number, number]; patientOf?: PatientOf },
): Split {
  const patients = patientsOf(ids, patientOf, { from: "the split", least: 2, why: "to train and to test" });
  const count = patients.length;
  const shuffled = new Random(seed).shuffle(patients);
  const test = Math.min(count - 1, Math.max(1, Math.round(fractions[2] * count)));
  const val = Math.min(count - 1 - test, Math.floor(fractions[1] * count + 1e-9));
  return {
    train: shuffled
      .slice(test + val)
      .flat()
      .sort(),
    val: shuffled
      .slice(test, test + val)
      .flat()
      .sort(),
    test: shuffled.slice(0, test).flat().sort(),
  };
}

/**
 * Splits case ids into folds exactly as nnU-Net does (scikit-learn's KFold(shuffle=True, random_state=seed)
 * of the sorted ids), but for the cases of a patient, which stay together. Each case is a validation case in
 * one fold. Throws DataError for fewer patients than folds, or an id given twice.
 */
export function crossValidation(
  ids: readonly string[],
  {
    folds = FOLDS,
    seed = SPLIT_SEED,
    patientOf = patientsBy(APART),
  }: { folds?: number; seed?: number; patientOf?: PatientOf } = {},
): Fold[] {
  const options = { from: "the folds", least: folds, why: "one per fold" };
  const patients = patientsOf(ids, patientOf, options);
  const shuffled = new MersenneTwister(seed).shuffle([...patients.keys()]);
  let start = 0;
  return Array.from({ length: folds }, (_, fold) => {
    const size = Math.floor(patients.length / folds) + (fold < patients.length % folds ? 1 : 0);
    const held = new Set(shuffled.slice(start, start + size));
    start += size;
    const cases = (chosen: boolean) => patients.filter((_, i) => held.has(i) === chosen).flat();
    return { train: cases(false).sort(), val: cases(true).sort() };
  });
}

const Ids = v.array(v.string());
const Some = v.pipe(Ids, v.minLength(1, "expected at least one case"));
const OneSplit = v.object({ train: Some, val: v.optional(Ids, []), test: v.optional(Ids, []) });
const Folds = v.pipe(
  v.array(v.object({ train: Some, val: Some, test: v.optional(Ids) })),
  v.minLength(1, "expected at least one fold"),
);

/**
 * Reads the content of the split file `path`: one split, or nnU-Net's list of folds. Throws one DataError
 * that lists every case that is not in `known`, or that a split names twice. With `skipped` names that are
 * not known are added to it instead.
 */
export function parseSplits(
  text: string,
  path: string,
  known: readonly string[],
  skipped: string[] | null = null,
): Split | Fold[] {
  const form =
    'expected {"train": [...], "val": [...], "test": [...]} with case ids, or a list of these, one per fold';
  let splits: Split | Fold[];
  try {
    const json: unknown = JSON.parse(text);
    splits = Array.isArray(json) ? v.parse(Folds, json) : v.parse(OneSplit, json);
  } catch (error) {
    const [issue] = error instanceof v.ValiError ? error.issues : [];
    const got = issue?.type === "min_length" ? issue.message : "got something else"; // shows no text of it
    const where = issue ? `${got} at ${v.getDotPath(issue) ?? "the top"}` : jsonFault(error);
    throw new DataError(`${path}: ${form}: ${where}`);
  }
  const there = new Set(known);
  const ids = (list: readonly string[]) => {
    // macOS may write the name of a case in another form of Unicode than it reads.
    const all = list.map((id) => id.normalize("NFC"));
    if (!skipped) return all;
    const unknown = new Set([...skipped, ...all.filter((id) => !there.has(id))]);
    skipped.length = 0;
    append(skipped, unknown);
    return all.filter((id) => there.has(id));
  };
  const normalised = (fold: Fold): Fold => ({
    train: ids(fold.train),
    val: ids(fold.val),
    ...(fold.test && { test: ids(fold.test) }),
  });
  splits = Array.isArray(splits) ? splits.map(normalised) : (normalised(splits) as Split);
  const problems = (Array.isArray(splits) ? splits : [splits]).flatMap(({ train, val, test = [] }, fold) => {
    const where = Array.isArray(splits) ? `${path}: fold ${fold}: case` : `${path}: case`;
    const all = [...train, ...val, ...test];
    return [
      ...all.filter((id) => !there.has(id)).map((id) => `${where} ${id} is not in the data set`),
      ...repeated(all).map((id) => `${where} ${id} is listed twice`),
    ];
  });
  if (problems.length) throw new DataError([...new Set(problems)]);
  if ([splits].flat().some(({ train }) => !train.length))
    throw new DataError(`${path}: none of its cases to train is in the data set`);
  return splits;
}

/**
 * Returns the split of one fold. Its test cases are those that the fold names, else `test` (cases in no
 * fold), else its validation cases, as in nnU-Net's cross-validation. "all" trains on every case of the folds
 * and has no validation. Throws DataError for a fold that does not exist.
 */
export function splitOfFold(
  folds: readonly Fold[],
  fold: number | "all",
  test: readonly string[] = [],
): Split {
  if (fold === "all") {
    const every = new Set(folds.flatMap(({ train, val }) => [...train, ...val]));
    const held = new Set([...test, ...folds.flatMap((entry) => entry.test ?? [])]);
    return { train: [...every].filter((id) => !held.has(id)).sort(), val: [], test: [...held].sort() };
  }
  const chosen = folds[fold];
  if (!chosen) {
    const range = folds.length > 1 ? `0 to ${folds.length - 1}` : "0";
    throw new DataError(`--fold: expected one of the ${folds.length} folds, ${range}, or all, got ${fold}`);
  }
  const held = chosen.test ?? (test.length ? [...test] : chosen.val);
  return { train: chosen.train, val: chosen.val, test: held };
}

/** The cases of each patient. Throws DataError for fewer patients than `least`, or an id given twice. */
function patientsOf(
  ids: readonly string[],
  patientOf: PatientOf,
  { from, least, why }: { from: string; least: number; why: string },
): string[][] {
  const sorted = [...ids].sort();
  const twice = sorted.find((id, i) => id === sorted[i + 1]);
  if (twice !== undefined) throw new DataError(`${from}: expected every case once, got ${twice} twice`);
  const patients = patientGroups(ids, patientOf);
  if (patients.length >= least) return patients;
  if (patients.length === ids.length)
    throw new DataError(`${from}: expected at least ${least} cases, ${why}, got ${ids.length}`);
  const [first] = patients.sort((a, b) => b.length - a.length);
  throw new DataError(
    `${from}: expected at least ${least} patients, ${why}, got ${patients.length} with ${ids.length} cases ` +
      `(${patientOf(first![0]!)} with ${listed(first!)}): if these are different patients, use --patients none`,
  );
}

/** The ids that are listed again, each time that they are. */
function repeated(ids: readonly string[]): string[] {
  const seen = new Set<string>();
  return ids.filter((id) => {
    const again = seen.has(id);
    seen.add(id);
    return again;
  });
}
