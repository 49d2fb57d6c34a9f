// Splits as the literature publishes them: a list of names for each set, side by side (train_list.txt,
// val_list.txt, test_list.txt), or one table with a column of names and one of sets or folds.

import { append } from "../../engine/values.ts";
import { DataError } from "../errors.ts";
import { type Row, rowsOf } from "./splitTable.ts";
import { type Fold, parseSplits, type Split } from "./splits.ts";
import { idOf } from "./writtenNames.ts";
import { put } from "../groups.ts";

/** A file of a split: its name without the folder, and its text. */
export interface SplitText {
  name: string;
  text: string;
}

/** Names that the data set lacks are an error, or are skipped. */
export const MISSING = ["refuse", "skip"] as const;
export type Missing = (typeof MISSING)[number];

export interface ListedSplit {
  splits: Split | Fold[];
  /** The files that it comes from, and what was not matched, for the user; empty for JSON that fits. */
  about: string;
}

type SetName = keyof Split;
const SETS: readonly SetName[] = ["train", "val", "test"];
const LIST = /\.(txt|csv|tsv|lst)$/i;
/** train, training, val, valid, validation, test or testing as a word of a file's name. */
const SET_WORD = /(?<![a-z])(train|val|test)(?:ing|id|idation)?(?=list|set|ids|cases|[^a-z]|$)/gi;
/** In the lists of IM-Fuse, the same cases with a mask of contrasts for each. */
const MASKS = /_?15splits/i;
const SHOWN = 5;

/** The name of a list: its set, and the rest of the name, which the lists of one split share. */
interface ListName {
  name: string;
  set: SetName;
  rest: string;
}

/**
 * Returns the names of the files that belong to one split, in a folder of the given names: the list `named`
 * and those beside it, or, where it is null, the folder's only lists. A name without a set stands alone.
 * Throws a DataError that names `folder` if it has no list of cases to train, or several splits.
 */
export function listsBeside(names: readonly string[], named: string | null, folder: string): string[] {
  const lists = names.flatMap((name) => listName(name) ?? []);
  const first = named === null ? onlyTrainingList(lists, folder) : listName(named);
  if (!first) return [named!];
  const mates = lists.filter(({ rest }) => sharedPart(rest) === sharedPart(first.rest));
  return SETS.flatMap((set) => {
    if (set === first.set) return first.name;
    const found = mates.filter((list) => list.set === set);
    return (found.find(({ rest }) => rest === first.rest) ?? found[0])?.name ?? [];
  });
}

function onlyTrainingList(lists: readonly ListName[], folder: string): ListName {
  const training = lists.filter(({ set }) => set === "train");
  const splits = [...new Map(training.map((list) => [sharedPart(list.rest), list])).values()];
  if (splits.length === 1) return splits[0]!;
  const expected = "expected lists of cases such as train_list.txt, val_list.txt and test_list.txt";
  if (!splits.length) throw new DataError(`${folder}: ${expected}, got no list of cases to train`);
  const several = splits.map(({ name }) => name).join(", ");
  throw new DataError(`${folder}: ${expected}, got several splits: name one of their files: ${several}`);
}

function listName(name: string): ListName | null {
  const words = [...name.replace(LIST, "").matchAll(SET_WORD)];
  const sets = new Set(words.map(([, word]) => word!.toLowerCase() as SetName));
  if (!LIST.test(name) || sets.size !== 1) return null;
  return { name, set: [...sets][0]!, rest: name.toLowerCase().replace(SET_WORD, "*") };
}

function sharedPart(rest: string): string {
  return rest.replace(MASKS, "");
}

/**
 * Reads the files of a split, from listsBeside() or one file of JSON (see parseSplits()), for the cases
 * `known`. A table with a column of folds gives these. Throws one DataError that lists for each file the
 * names that are not known (unless they are to be skipped) or are given twice, in one set or two.
 */
export function parseSplitFiles(
  files: readonly SplitText[],
  known: readonly string[],
  missing: Missing,
): ListedSplit {
  const [{ name, text }] = files as readonly [SplitText, ...SplitText[]];
  if (files.length === 1 && (/\.json$/i.test(name) || /^\s*[{[]\s*["{]/.test(text))) {
    const skipped: string[] = [];
    const splits = parseSplits(text, name, known, missing === "skip" ? skipped : null);
    return { splits, about: skippedText(skipped) };
  }
  const reader = new Reader(known, missing);
  const splits = reader.read(files);
  const unlisted = known.length - reader.listed;
  const about = [
    `from ${files.map((file) => file.name).join(", ")}`,
    unlisted && `${counted(unlisted, "case")} of the data set ${unlisted === 1 ? "is" : "are"} in no list`,
    skippedText(reader.skipped),
  ];
  return { splits, about: about.filter(Boolean).join("; ") };
}

/** Matches the names of lists to cases, and collects what does not fit. */
class Reader {
  readonly skipped: string[] = [];
  readonly #known: ReadonlySet<string>;
  readonly #missing: Missing;
  readonly #example: string;
  readonly #places = new Map<string, string>(); // of each case: its set, as errors name it
  readonly #problems: string[] = [];

  constructor(known: readonly string[], missing: Missing) {
    this.#known = new Set(known);
    this.#missing = missing;
    this.#example = known[0] ?? "";
  }

  /** The number of cases that some list names. */
  get listed(): number {
    return this.#places.size;
  }

  read(files: readonly SplitText[]): Split | Fold[] {
    const tables = files.map((file) => ({ name: file.name, rows: rowsOf(file, this.#known) }));
    const [first] = tables;
    const divided = tables.length === 1 && first!.rows.every(({ set }) => set !== null);
    const splits = divided ? this.#divided(first!) : this.#lists(tables);
    if (this.#problems.length) throw new DataError(this.#problems);
    const trained = Array.isArray(splits) ? splits.every(({ train }) => train.length) : splits.train.length;
    if (trained) return splits;
    const beside = divided ? "" : ", in a file such as train_list.txt beside it";
    throw new DataError(`${first!.name}: expected at least one case to train${beside}, got none`);
  }

  /** One list for each set, which the name of its file tells. */
  #lists(tables: readonly { name: string; rows: readonly Row[] }[]): Split {
    const split: Split = { train: [], val: [], test: [] };
    for (const { name, rows } of tables) {
      const list = listName(name);
      if (list) split[list.set] = this.#idsOf(name, rows, name);
      else
        this.#problems.push(
          `${name}: expected a column set, split or fold, or a file name with train, val or test, got neither`,
        );
    }
    return split;
  }

  /** One table with a column of sets or of folds. */
  #divided({ name, rows }: { name: string; rows: readonly Row[] }): Split | Fold[] {
    const found = new Map<string, Row[]>();
    for (const row of rows) {
      const set = /^\d+$/.test(row.set!) ? String(Number(row.set)) : setNamed(row.set!);
      if (set) put(found, set, row);
      else {
        const expected = "expected train, val, test or the number of a fold";
        this.#problems.push(`${name}: line ${row.line}: ${expected}, got ${row.set || "nothing"}`);
      }
    }
    const idsOf = (set: string) => this.#idsOf(name, found.get(set) ?? [], `${name}: ${set}`);
    const numbers = [...found.keys()]
      .filter((set) => /^\d+$/.test(set))
      .sort((a, b) => Number(a) - Number(b));
    if (!numbers.length) return { train: idsOf("train"), val: idsOf("val"), test: idsOf("test") };
    if (numbers.some((set, i) => Number(set) !== i) || found.has("train") || found.has("val")) {
      const got = [...found.keys()].join(", ");
      this.#problems.push(`${name}: expected folds numbered from 0 on, beside them at most test, got ${got}`);
    }
    const folds = numbers.map(idsOf);
    const test = found.has("test") ? idsOf("test") : undefined;
    return folds.map((val) => {
      return { train: folds.filter((other) => other !== val).flat(), val, ...(test && { test }) };
    });
  }

  /** The cases of these rows; `place` is their set in errors. */
  #idsOf(file: string, rows: readonly Row[], place: string): string[] {
    const ids: string[] = [];
    const unknown: string[] = [];
    for (const { name, line } of rows) {
      const id = idOf(name, this.#known);
      if (id === null) unknown.push(name);
      else {
        const before = this.#places.get(id);
        this.#places.set(id, before ?? place);
        if (before === place) this.#problems.push(`${file}: line ${line}: case ${id} is listed twice`);
        else if (before !== undefined)
          this.#problems.push(`case ${id} is in ${before} and in ${place}: a case belongs to one set`);
        else ids.push(id);
      }
    }
    if (!unknown.length) return ids;
    const verb = unknown.length === 1 ? "is" : "are";
    const lacking = `${unknown.length} of ${counted(rows.length, "name")} ${verb} not in the data set`;
    if (this.#missing === "skip" && ids.length) append(this.skipped, unknown);
    else
      this.#problems.push(
        `${place}: ${lacking}, whose cases have names like ${this.#example}: ${few(unknown)}` +
          (ids.length ? ": correct the list, or skip these names with --split-missing skip" : ""),
      );
    return ids;
  }
}

/** The set of a word such as training or valid; null for other words. */
function setNamed(word: string): SetName | null {
  const [whole, set] = [...word.matchAll(SET_WORD)][0] ?? [];
  return whole === word && set ? (set.toLowerCase() as SetName) : null;
}

function skippedText(names: readonly string[]): string {
  return names.length
    ? `skipped ${counted(names.length, "name")} that the data set lacks: ${few(names)}`
    : "";
}

/** Names with commas between, the first few of many. */
function few(names: readonly string[]): string {
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : "";
  return names.slice(0, SHOWN).join(", ") + more;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
