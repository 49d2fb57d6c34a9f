// Makes the table of fifteen: every subset of the contrasts is scored on the test cases, each with the
// network that predict.js would choose if only these contrasts were there.

import { basename, join, resolve } from "node:path";
import type { Dataset, Modality } from "../../data/datasets/datasets.ts";
import { DataError } from "../../data/errors.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import type { AffineChoice } from "../../data/preparation/grids.ts";
import type { Preparation } from "../../data/preparation/preprocess.ts";
import type { Device } from "../../engine/index.ts";
import { TILING, type Tiling } from "../../model/inference/windows.ts";
import type { ConventionName } from "../../model/scoring/conventions.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { subsetName } from "../../data/datasets/subsets.ts";
import { type SubsetTable, subsetTable } from "../../trainer/experiments/subsetTable.ts";
import { checkWritable, removeTemporaries } from "../files/files.ts";
import { lockFolder } from "../files/lock.ts";
import { InputChecksums } from "../prediction/inputChecksums.ts";
import { caseLoader } from "../prediction/predictionPlan.ts";
import { candidatesOf } from "../prediction/publishedUse.ts";
import {
  CHOICE_FILE,
  readAgainst,
  requireSame,
  TABLE_FILE,
  tableFolder,
} from "../prediction/subsetAgainst.ts";
import { openSubsetCases } from "../prediction/subsetCases.ts";
import {
  choiceRecord,
  chooseSubsets,
  lackedBy,
  pairsOf,
  type SubsetChoice,
} from "../prediction/subsetChoice.ts";
import { checkPairs, type Pair, predictPairs } from "../prediction/subsetPredictions.ts";
import { resultKey, resultName, SubsetResults } from "../prediction/subsetResults.ts";
import { writeJson, writeTable } from "./subsetFiles.ts";
import { say } from "../terminal/console.ts";
import { FAST } from "../terminal/progress.ts";

export interface SubsetsOptions {
  /** Measure again which kernels are fastest on the adapter. */
  retune?: boolean;
  /** Folder of a run or a stage, or a checkpoint; several are averaged. */
  model: string | readonly string[];
  /** The data set, with labels. */
  data: string;
  /** "all" scores every case of the data; default "test". */
  cases?: "test" | "all";
  /** The split with the test cases; default: the run's own, else as train.js chooses it. */
  split?: string;
  fold?: number | "all";
  labels?: LabelConvention;
  affine?: AffineChoice;
  /** The scores of empty regions; default "brats". */
  convention?: ConventionName;
  /** The table's folder; default: subsets in the folder of the run. */
  out?: string;
  /** Another run with a finished table. */
  against?: string;
  window?: Tiling["weighting"];
  step?: number;
  tta?: boolean;
  postprocessing?: boolean;
  /** Input of a published model. */
  modality?: Modality;
  background?: Preparation["background"];
  patch?: string;
  /** Compute everything again. */
  overwrite?: boolean;
  fast?: boolean;
}

/**
 * Makes the table of fifteen and returns it. Throws a CheckpointError, a UsageError, or a DataError with the
 * problems of all cases before it opens the device.
 */
export async function scoreSubsets(
  open: () => Promise<Device>,
  options: SubsetsOptions,
): Promise<SubsetTable> {
  const { model, affine = "file", step = TILING.step, tta: mirror = false, convention = "brats" } = options;
  const paths = typeof model === "string" ? [model] : model;
  const out = options.out ?? (await defaultOut(paths));
  const candidates = await candidatesOf(paths, options);
  const against = options.against === undefined ? null : await readAgainst(options.against);
  const { source, dataset } = await openSubsetCases(options, candidates);
  const choices = chooseSubsets(candidates);
  const pairs = pairsOf(choices, dataset.cases);
  if (!pairs.length) throw new DataError(`${options.data}: ${nothingFits(choices)}`);
  const unlabelled = dataset.cases.filter(({ label }) => label === undefined);
  if (unlabelled.length)
    throw new DataError(unlabelled.map(({ id }) => `case ${id}: expected a label to score with, got none`));

  await checkWritable(join(out, TABLE_FILE), "--out");
  const unlock = await lockFolder(out, say);
  try {
    await removeTemporaries(out);
    const checksums = new InputChecksums(source, dataset);
    const labels = await labelChecksums(dataset, checksums);
    if (against) requireSame(against, { labels, convention, folder: options.against! });
    const settings = { labels: dataset.convention, affine, step, mirror };
    const results = await SubsetResults.open(out, options.overwrite ?? false);
    const load = caseLoader(source, dataset, { checksums, affine });
    const labelOf = new Map(dataset.cases.map(({ id, label }) => [id, label!]));
    const todo: Pair[] = [];
    for (const pair of pairs) {
      const key = await resultKey(pair, { label: labelOf.get(pair.id)!, settings, checksums });
      if (!(await results.find(pair, key))) todo.push({ ...pair, key });
    }
    await checkPairs(todo, load);
    await results.clean();
    sayPlan(choices, { pairs: pairs.length, todo: todo.length });
    if (todo.length) {
      const device = await open();
      if (options.fast) say(FAST);
      await predictPairs(device, todo, { load, results, labelOf, ...options, out, settings });
    }
    const table = tableOf(choices, dataset, { results, convention });
    // predict.js compares the checkpoints in choice.json with its own: it must never be newer than the table.
    await writeTable(out, { table, name: basename(resolve(paths[0]!)), labels, against });
    await writeJson(join(out, CHOICE_FILE), choiceRecord(choices, candidates));
    return table;
  } finally {
    await unlock();
  }
}

/** The table's folder where --out does not name it: beside the stages, or beside a checkpoint. */
async function defaultOut(paths: readonly string[]): Promise<string> {
  if (paths.length > 1)
    throw new UsageError("--out: name the table's folder, since there are several --model");
  return tableFolder(paths[0]!);
}

function nothingFits(choices: readonly SubsetChoice[]): string {
  const fitting = choices.some(({ candidate }) => candidate);
  const single = choices.find(({ candidate }) => !candidate);
  if (!fitting) return single!.why;
  return "no case has the contrasts of any network: node cli/check.js shows what is missing in each case";
}

async function labelChecksums(
  { cases }: Dataset,
  checksums: InputChecksums,
): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { id, label } of cases) found[id] = await checksums.file(label!);
  return found;
}

function sayPlan(choices: readonly SubsetChoice[], { pairs, todo }: { pairs: number; todo: number }): void {
  for (const { subset, candidate, why } of choices)
    say(`  ${subsetName(subset)}: ${candidate ? `${candidate.name}: ` : ""}${why}`);
  const networks = new Set(choices.flatMap(({ candidate }) => candidate ?? [])).size;
  const number = networks === 1 ? "1 network" : `${networks} networks`;
  say(
    `${number}, ${pairs} predictions in all${todo < pairs ? `, ${pairs - todo} of them finished already` : ""}`,
  );
}

function tableOf(
  choices: readonly SubsetChoice[],
  { cases }: Dataset,
  { results, convention }: { results: SubsetResults; convention: ConventionName },
): SubsetTable {
  const rows = choices.map(({ subset, candidate, sees, why }) => {
    const [counted, lacking] = [true, false].map((wanted) =>
      cases.filter((files) => !lackedBy(files, subset).length === wanted).map(({ id }) => id),
    );
    const name = candidate && resultName({ candidate, sees });
    const measured = name === null ? [] : counted!.map((id) => results.of(id, name));
    return { subset, network: candidate?.name ?? null, why, lacking: lacking!, measured };
  });
  return subsetTable(
    rows,
    cases.map(({ id }) => id),
    convention,
  );
}
