// The table of fifteen: the scores of every subset of the contrasts, their mean, and the comparison with
// another run's table, paired by case. From the cases' measures alone.

import type { Modality } from "../../data/datasets/source.ts";
import {
  applyConvention,
  CONVENTION_NAMES,
  type ConventionName,
  CONVENTIONS,
} from "../../model/scoring/conventions.ts";
import type { CaseMetrics, RegionMetrics } from "../../model/scoring/metrics.ts";
import { REGION_NAMES } from "../../model/scoring/regions.ts";
import { bootstrapMeans, type Interval, spread } from "../../model/scoring/statistics.ts";
import { summarise, type Summary } from "../../model/scoring/summary.ts";

/**
 * A predicted ET of fewer voxels in the whole case counts as none in the column ETpp: the rule of mmFormer's
 * predict.py (Zhang et al. 2022, github.com/YaoZhang93/mmFormer), which changes neither TC nor WT.
 */
export const LEAST_ET = 500;

/** The columns of Dice (0 to 1). */
export const DICE_COLUMNS = ["WT", "TC", "ET", "ETpp", "mean"] as const;
/** The columns of HD95 (mm). */
export const HD95_COLUMNS = ["WT", "TC", "ET", "mean"] as const;
type DiceColumn = (typeof DICE_COLUMNS)[number];
type Hd95Column = (typeof HD95_COLUMNS)[number];

/** A value of each column; `mean` is that of WT, TC and ET. NaN (null in JSON) where nothing counts. */
export interface Columns<Value> {
  Dice: Record<DiceColumn, Value>;
  HD95: Record<Hd95Column, Value>;
}

/** A mean over cases and its bootstrap interval. */
export interface Score extends Interval {
  mean: number;
}

/** The scores of one case. */
export interface CaseScores extends Columns<number> {
  case: string;
}

/** A subset's network and the measures of its cases; `network` is null if no network fits. */
export interface SubsetResult {
  subset: readonly Modality[];
  network: string | null;
  why: string;
  /** The cases that lack a contrast of the subset. */
  lacking: readonly string[];
  measured: readonly CaseMetrics[];
}

/** A row of the table; without cases its scores are null. */
export interface SubsetRow extends Omit<SubsetResult, "measured"> {
  cases: CaseScores[];
  scores: Columns<Score> | null;
  /** The means by every convention for empty regions, and of ETpp. */
  conventions: (Summary["conventions"] & { ETpp: Record<ConventionName, number> }) | null;
  /** The number of cases with an empty region, before ETpp's rule. */
  empty: Summary["empty"] | null;
}

/** All that subsets.json holds of one run. */
export interface SubsetTable {
  convention: ConventionName;
  /** The cases of the table. */
  cases: string[];
  rows: SubsetRow[];
  /**
   * The mean over the rows with scores. Its intervals are over cases, each the mean over the subsets that
   * count it.
   */
  mean: Columns<Score> | null;
}

/** The table of some subsets, whose results are in order. */
export function subsetTable(
  results: readonly SubsetResult[],
  cases: readonly string[],
  convention: ConventionName,
): SubsetTable {
  const rows = results.map((result) => rowOf(result, convention));
  const scored = rows.flatMap(({ scores }) => scores ?? []);
  const own = meansOverSubsets(rows);
  const intervals = byColumn((at) => at(own)).map(withInterval);
  const means = byColumn((at) => scored.map((scores) => at([scores])[0]!.mean));
  const mean = columnsOf(intervals.map((score, i) => ({ ...score, mean: spread(means[i]!).mean })));
  return { convention, cases: [...cases], rows, mean: scored.length ? mean : null };
}

/** The mean scores of each case over the rows that count it. */
export function meansOverSubsets(rows: readonly Pick<SubsetRow, "cases">[]): CaseScores[] {
  const byCase = new Map<string, CaseScores[]>();
  for (const scored of rows.flatMap((row) => row.cases))
    byCase.set(scored.case, [...(byCase.get(scored.case) ?? []), scored]);
  return [...byCase].map(([id, all]) => ({
    case: id,
    ...columnsOf(byColumn((at) => spread(at(all)).mean)),
  }));
}

/**
 * The Dice of ET under a convention, where a prediction of fewer than LEAST_ET voxels counts as without ET.
 * NaN where the convention excludes the case.
 */
export function diceWithoutSmallET(metrics: RegionMetrics, convention: ConventionName): number {
  const rule = CONVENTIONS[convention];
  if (metrics.predicted >= LEAST_ET) return applyConvention(metrics, rule).Dice;
  const { referenced, lesions } = metrics;
  const emptied: RegionMetrics = {
    ...metrics,
    dice: referenced === 0 ? null : 0,
    hd95: null,
    predicted: 0,
    tp: 0,
    fp: 0,
    fn: referenced,
    lesions: { ...lesions, dice: lesions.tp + lesions.fn === 0 ? 1 : 0 },
  };
  return applyConvention(emptied, rule).Dice;
}

/** The values of every column, in order: `at` takes the column of some scores. */
export function byColumn<Result>(
  of: (at: <Value>(scores: readonly Columns<Value>[]) => Value[]) => Result,
): Result[] {
  return [
    ...DICE_COLUMNS.map((column) => of((scores) => scores.map(({ Dice }) => Dice[column]))),
    ...HD95_COLUMNS.map((column) => of((scores) => scores.map(({ HD95 }) => HD95[column]))),
  ];
}

/** Values in the order of byColumn() as columns. */
function columnsOf<Value>(values: readonly Value[]): Columns<Value> {
  const named = (names: readonly string[], from: number) =>
    Object.fromEntries(names.map((name, i) => [name, values[from + i]!]));
  return {
    Dice: named(DICE_COLUMNS, 0),
    HD95: named(HD95_COLUMNS, DICE_COLUMNS.length),
  } as unknown as Columns<Value>;
}

function rowOf({ measured, ...result }: SubsetResult, convention: ConventionName): SubsetRow {
  if (!measured.length) return { ...result, cases: [], scores: null, conventions: null, empty: null };
  const summary = summarise(measured, convention);
  const small = measured.map(({ regions }) => diceWithoutSmallET(regions.ET, convention));
  const cases = summary.metric_per_case.map(({ case: id, metrics }, i): CaseScores => {
    const regions = (key: "Dice" | "HD95") => {
      const { WT, TC, ET } = metrics;
      const values = [WT[key], TC[key], ET[key]] as const;
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      return { WT: values[0], TC: values[1], ET: values[2], mean };
    };
    return { case: id, Dice: { ...regions("Dice"), ETpp: small[i]! }, HD95: regions("HD95") };
  });
  const score = (key: "Dice" | "HD95") => {
    const means = REGION_NAMES.map((region) => summary.mean[region][key]);
    const mean = means.reduce((sum, value) => sum + value, 0) / means.length;
    const { WT, TC, ET, mean: ofMean } = summary.intervals[key];
    const all = [WT, TC, ET, ofMean].map((interval, i) => ({ mean: [...means, mean][i]!, ...interval }));
    return { WT: all[0]!, TC: all[1]!, ET: all[2]!, mean: all[3]! };
  };
  const meanOf = (name: ConventionName) =>
    spread(measured.map(({ regions }) => diceWithoutSmallET(regions.ET, name))).mean;
  const ETpp = Object.fromEntries(CONVENTION_NAMES.map((name) => [name, meanOf(name)]));
  return {
    ...result,
    cases,
    scores: { Dice: { ...score("Dice"), ETpp: withInterval(small) }, HD95: score("HD95") },
    conventions: { ...summary.conventions, ETpp: ETpp as Record<ConventionName, number> },
    empty: summary.empty,
  };
}

function withInterval(values: readonly number[]): Score {
  return { mean: spread(values).mean, ...bootstrapMeans([values])[0]! };
}
