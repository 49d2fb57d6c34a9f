// Compares several runs: each method's scores with their spread over seeds, and a test of whether one
// method's cases score better than another's of the same modality. From the runs' summaries alone.

import { largest, smallest } from "../../engine/values.ts";
import { baselinesOf, METHODS } from "../../model/methods/index.ts";
import { type ConventionName } from "../../model/scoring/conventions.ts";
import { type Region, REGION_NAMES } from "../../model/scoring/regions.ts";
import {
  bootstrapMeans,
  holm,
  type Interval,
  leastP,
  signedRank,
  spread,
  type Spread,
} from "../../model/scoring/statistics.ts";
import type { Summary } from "../../model/scoring/summary.ts";

/** One trained network and what it scored on its test cases. */
export interface ExperimentRun {
  /** "teacher", or the student's method. */
  method: string;
  /** The student's contrasts; null for a teacher. */
  modality: string | null;
  /** A teacher's contrasts; null for all four. */
  teacherModality?: string | null;
  seed: number;
  summary: Summary;
}

/** The measures compared: Dice from 0 to 1, where more is better, and HD95 in mm, where less is. */
export const MEASURES = ["Dice", "HD95"] as const;
export type Measure = (typeof MEASURES)[number];
type Column = Region | "mean";
export const COLUMNS: readonly Column[] = [...REGION_NAMES, "mean"];

/** One method and the contrasts of its networks: a row of the table. */
export interface ExperimentRow {
  method: string;
  modality: string | null;
  teacherModality: string | null;
  seeds: number[];
  /** Number of test cases, each counted once whatever the number of seeds. */
  cases: number;
  /** Mean and deviation over seeds of the mean over cases, by measure and region. */
  scores: Record<Measure, Record<Column, Spread>>;
  /** Bootstrap interval of the mean over regions, over cases that are each the mean of their seeds. */
  interval: Record<Measure, Interval>;
}

/** One method against another on one modality, over the cases that both were tested on. */
export interface Comparison {
  modality: string;
  method: string;
  against: string;
  measure: Measure;
  /** Cases that both score. */
  cases: number;
  /** Mean over cases of `method` less `against`. */
  difference: number;
  interval: Interval;
  /** Wilcoxon's signed-rank test, two-sided, over cases. */
  p: number;
  /** p corrected by Holm over the modalities of the same measure and the same two methods. */
  holm: number;
  exact: boolean;
}

/** All that experiment.json holds of the scores. */
export interface Experiment {
  convention: ConventionName;
  rows: ExperimentRow[];
  comparisons: Comparison[];
  /** Sentences on how to read the numbers. */
  notes: string[];
}

const LEVEL = 0.05;
const ENOUGH_SEEDS = 3;

/**
 * Scores of one case, each region's the mean over the seeds it was scored with; NaN where it does not count.
 */
type CaseScores = Map<string, Record<Measure, Record<Column, number>>>;

/**
 * The table and the comparisons of runs in the order given. Runs of one method, modality and seed (the folds
 * of a cross validation) count as one over all their cases. Throws where runs are scored by different
 * conventions.
 */
export function experiment(runs: readonly ExperimentRun[]): Experiment {
  const conventions = [...new Set(runs.map(({ summary }) => summary.convention))];
  if (conventions.length !== 1) {
    throw new Error(`experiment: runs scored by one convention, got ${conventions.join(", ") || "no run"}`);
  }
  const groups = [...groupBy(runs, ({ method, modality }) => `${modality ?? ""} ${method}`).values()];
  const rows = groups.map(rowOf);
  const comparisons = compareAll(groups);
  return { convention: conventions[0]!, rows, comparisons, notes: notesOn(rows, comparisons) };
}

function rowOf(runs: readonly ExperimentRun[]): ExperimentRow {
  const { method, modality, teacherModality = null } = runs[0]!;
  const bySeed = groupBy(runs, ({ seed }) => seed);
  const replicates = [...bySeed.values()].map(caseScores);
  const all = [...caseScores(runs).values()];
  const measures = <T>(of: (measure: Measure) => T) =>
    Object.fromEntries(MEASURES.map((measure) => [measure, of(measure)])) as Record<Measure, T>;
  const [Dice, HD95] = bootstrapMeans(MEASURES.map((measure) => all.map((scores) => scores[measure].mean)));
  return {
    method,
    modality,
    teacherModality,
    seeds: [...bySeed.keys()],
    cases: all.length,
    scores: measures((measure) => {
      const means = replicates.map((cases) => regionMeans([...cases.values()], measure));
      return byColumn((column) => spread(means.map((row) => row[column])));
    }),
    interval: { Dice: Dice!, HD95: HD95! },
  };
}

/**
 * Means over cases by region, and of those the mean, as in every other table: NaN where a region has none.
 */
function regionMeans(cases: readonly Record<Measure, Record<Column, number>>[], measure: Measure) {
  const regions = REGION_NAMES.map((region) => spread(cases.map((scores) => scores[measure][region])).mean);
  const mean = regions.reduce((sum, value) => sum + value, 0) / regions.length;
  return Object.fromEntries([...REGION_NAMES.map((name, i) => [name, regions[i]]), ["mean", mean]]) as Record<
    Column,
    number
  >;
}

function compareAll(groups: readonly ExperimentRun[][]): Comparison[] {
  const found = (method: string, modality: string) =>
    groups.find(([run]) => run!.method === method && run!.modality === modality);
  const modalities = [...new Set(groups.flatMap(([run]) => run!.modality ?? []))];
  return comparedPairs(groups.map(([run]) => run!.method)).flatMap(([method, against]) =>
    MEASURES.flatMap((measure) => {
      const family = modalities.flatMap((modality) => {
        const [one, other] = [found(method, modality), found(against, modality)];
        return one && other
          ? [{ modality, method, against, ...compare(caseScores(one), caseScores(other), measure) }]
          : [];
      });
      const corrected = holm(family.map(({ p }) => p));
      return family.map((comparison, i) => ({ ...comparison, holm: corrected[i]! }));
    }),
  );
}

/** Each method that is no other one's baseline, with each of its baselines. */
function comparedPairs(methods: readonly string[]): (readonly [method: string, against: string])[] {
  const known = Object.keys(METHODS).filter((name) => methods.includes(name));
  const baselines = new Set(known.flatMap(baselinesOf));
  return known
    .filter((name) => !baselines.has(name))
    .flatMap((name) => baselinesOf(name).map((against) => [name, against] as const));
}

function compare(
  one: CaseScores,
  other: CaseScores,
  measure: Measure,
): Omit<Comparison, "modality" | "method" | "against" | "holm"> {
  const differences = [...one].flatMap(([id, scores]) => {
    const difference = scores[measure].mean - (other.get(id)?.[measure].mean ?? NaN);
    return Number.isNaN(difference) ? [] : [difference];
  });
  const { p, exact } = signedRank(differences);
  const interval = bootstrapMeans([differences])[0]!;
  const { mean: difference, n: cases } = spread(differences);
  return { measure, cases, difference, interval, p, exact };
}

/** The cases of some runs; one that several runs score has the mean of its scores. */
function caseScores(runs: readonly ExperimentRun[]): CaseScores {
  const rows = runs.flatMap(({ summary }) => summary.metric_per_case);
  const result: CaseScores = new Map();
  for (const [id, same] of groupBy(rows, (row) => row.case)) {
    const scores = (measure: Measure): Record<Column, number> => {
      const regions = REGION_NAMES.map((region) => {
        const values = same.map(({ metrics }) => (metrics[region][measure] as number | null) ?? NaN);
        return [region, spread(values).mean] as const;
      });
      const mean = regions.reduce((sum, [, value]) => sum + value, 0) / regions.length;
      return Object.fromEntries([...regions, ["mean", mean]]) as Record<Column, number>;
    };
    result.set(id, { Dice: scores("Dice"), HD95: scores("HD95") });
  }
  return result;
}

/** A sentence on the test cases, where not every row has as many: some lack contrasts. */
function testedNote(rows: readonly ExperimentRow[]): string[] {
  if (new Set(rows.map(({ cases }) => cases)).size < 2) return [];
  const byInput = new Map(rows.map((row) => [row.modality ?? "teacher", row.cases]));
  const counted = [...byInput].map(([input, cases]) => `${input} ${cases}`).join(", ");
  return [
    `A network is tested on the cases that have its contrasts (${counted}): rows of other contrasts are means over other cases.`,
  ];
}

/** Sentences on how the numbers came about, and on what they cannot say. */
function notesOn(rows: readonly ExperimentRow[], comparisons: readonly Comparison[]): string[] {
  const notes = testedNote(rows);
  const seeds = rows.map((row) => row.seeds.length);
  const [fewest, most] = [smallest(seeds), largest(seeds)];
  if (most > 1)
    notes.push(`Mean ± standard deviation over seeds (${seedsText(rows)}) of the mean over test cases.`);
  if (fewest === 1) {
    const where = most > 1 ? "One seed in some rows" : "One seed";
    notes.push(
      `${where}: how much scores change from one training to the next is unknown, and a difference between two ` +
        `rows may be no more than that. Use at least ${ENOUGH_SEEDS} (--seeds 0,1,2).`,
    );
  } else if (fewest < ENOUGH_SEEDS) {
    notes.push(`${fewest} seeds give hardly a deviation: use at least ${ENOUGH_SEEDS}.`);
  }
  if (comparisons.length === 0) return notes;
  const families = largest(
    counts(comparisons.map(({ measure, method, against }) => `${measure} ${method} ${against}`)),
  );
  const tested = smallest(comparisons.map(({ cases }) => cases));
  const correction =
    families > 1 ? `; p corrected by Holm over ${families} modalities` : "; one modality: nothing to correct";
  notes.push(
    "Differences are paired by test case, each the mean over regions and seeds: mean with its 95 % bootstrap interval " +
      `(percentiles), and Wilcoxon's signed-rank test, two-sided, exact to 200 cases${correction}.`,
    "The test asks whether these networks differ on further cases, not whether training them again would.",
  );
  const least = leastP(tested) * families;
  if (least > LEVEL) {
    notes.push(
      `${tested} test ${tested === 1 ? "case is" : "cases are"} too few: even if all of them agreed, p would be ` +
        `${Math.min(1, least).toPrecision(2)} at least. These comparisons say nothing about a method.`,
    );
  }
  return notes;
}

function seedsText(rows: readonly ExperimentRow[]): string {
  const sets = [...new Set(rows.map(({ seeds }) => seeds.join(", ")))];
  return sets.length === 1 ? sets[0]! : `not the same in all rows: ${sets.join("; ")}`;
}

function counts(keys: readonly string[]): number[] {
  return [...groupBy(keys, (key) => key).values()].map((group) => group.length);
}

function byColumn<T>(of: (column: Column) => T): Record<Column, T> {
  return Object.fromEntries(COLUMNS.map((column) => [column, of(column)])) as Record<Column, T>;
}

function groupBy<T, K>(items: readonly T[], key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}
