// The cases of a table of fifteen: the test cases of the run that the networks come from, or those that a
// split chooses, or all.

import { dirname, join } from "node:path";
import * as v from "valibot";
import { type Dataset, openDataset, type Source } from "../../data/datasets/datasets.ts";
import { DataError, grouped } from "../../data/errors.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { DEFAULTS } from "../../trainer/settings/config.ts";
import { casesOf, openRunData } from "../files/cases.ts";
import { folderSource } from "../files/folderSource.ts";
import { FILES } from "../files/stageFolder.ts";
import { say, warn } from "../terminal/console.ts";
import type { Candidate } from "./candidates.ts";
import { readFile } from "../terminal/userFile.ts";

/** The options that choose the cases. */
export interface CaseOptions {
  data: string;
  labels?: LabelConvention;
  split?: string;
  fold?: number | "all";
  cases?: "test" | "all";
}

const SplitSchema = v.object({
  train: v.array(v.string()),
  val: v.array(v.string()),
  test: v.array(v.string()),
});
type Stored = v.InferOutput<typeof SplitSchema> & { path: string };

/**
 * Opens the data set with the chosen cases alone, and says how they were chosen. Warns of cases that the
 * networks were trained on. Throws a DataError or a UsageError.
 */
export async function openSubsetCases(
  options: CaseOptions,
  candidates: readonly Candidate[],
): Promise<{ source: Source; dataset: Dataset }> {
  const { data, labels, split, fold, cases = "test" } = options;
  if (cases === "all" && (split !== undefined || fold !== undefined))
    throw new UsageError(
      `--cases all: takes every case: give no ${split === undefined ? "--fold" : "--split"}`,
    );
  const stored = await storedSplits(candidates);
  const source = await folderSource(data);
  const { warnings, newCases: _, ...dataset } = await openDataset(source, { convention: labels });
  const known = new Set(dataset.cases.map(({ id }) => id));
  let ids: readonly string[];
  let from: string;
  if (cases === "all") [ids, from] = [[...known], "every case of the data"];
  else if (split === undefined && fold === undefined && isOwn(stored, known)) {
    ids = ownTest(stored);
    from = "the test cases of the run's split.json";
  } else {
    const settings = { ...DEFAULTS, data, labels: labels ?? null, modality: null };
    const chosen = { ...settings, split: split ?? null, fold: fold ?? null };
    ids = (await openRunData(chosen, null, () => undefined)).split.test;
    from =
      split === undefined && fold === undefined
        ? "the test cases that train.js would choose"
        : "by the split";
  }
  if (!ids.length) throw new DataError(`${split ?? data}: ${NO_TEST}`);
  grouped(warnings).forEach(warn);
  say(`${ids.length === 1 ? "1 case" : `${ids.length} cases`}: ${from}`);
  const seen = new Set(stored.flatMap(({ train, val }) => [...train, ...val]));
  const trained = ids.filter((id) => seen.has(id));
  if (trained.length) warn(trainedText(trained, ids.length));
  return { source, dataset: { ...dataset, cases: casesOf(dataset, ids) } };
}

const NO_TEST =
  "expected test cases, got a split without any: name some in a file with --split, or score every case " +
  "with --cases all";

/** The splits beside the networks' checkpoints, each once. */
async function storedSplits(candidates: readonly Candidate[]): Promise<Stored[]> {
  const folders = new Set(
    candidates.flatMap(({ members }) => members.map(({ model }) => dirname(model.path))),
  );
  const found = new Map<string, Stored>();
  for (const folder of folders) {
    const path = join(folder, FILES.split);
    const text = await readFile(path, "utf8").catch(() => null);
    if (text === null) continue;
    try {
      const split = v.parse(SplitSchema, JSON.parse(text));
      found.set(JSON.stringify(split), { ...split, path });
    } catch {
      throw new DataError(
        `${path}: expected the split that train.js writes, got another: choose one with --split`,
      );
    }
  }
  return [...found.values()];
}

/** Tells whether the data hold the test cases of the run. */
function isOwn(stored: readonly Stored[], known: ReadonlySet<string>): boolean {
  return stored.length > 0 && stored.every(({ test }) => test.every((id) => known.has(id)));
}

function ownTest(stored: readonly Stored[]): string[] {
  const tests = new Map(stored.map(({ test, path }) => [JSON.stringify([...test].sort()), { test, path }]));
  const [first, other] = tests.values();
  if (other)
    throw new UsageError(
      `--model: the networks were tested on different cases (${first!.path}, ${other.path}): choose the cases ` +
        "with --split or --cases all, or one fold's folder",
    );
  if (!first!.test.length) throw new DataError(`${first!.path}: ${NO_TEST}`);
  return first!.test;
}

function trainedText(trained: readonly string[], all: number): string {
  const names =
    trained.slice(0, 5).join(", ") + (trained.length > 5 ? ` and ${trained.length - 5} more` : "");
  return `${trained.length} of ${all} cases (${names}) were used to train or validate these networks: their scores are too good`;
}
