// Scores over cases in the format of nnU-Net's summary.json, with more keys: HD95, sensitivity, specificity,
// lesion-wise scores, the regions by name, and the means under every convention for empty regions.

import * as v from "valibot";
import {
  applyConvention,
  type Convention,
  CONVENTION_NAMES,
  type ConventionName,
  CONVENTIONS,
} from "./conventions.ts";
import type { CaseMetrics, RegionMetrics } from "./metrics.ts";
import { type Region, REGION_NAMES } from "./regions.ts";
import { BOOTSTRAP, bootstrapMeans, type Interval } from "./statistics.ts";

/**
 * One region's scores, or their means, under nnU-Net's names: ratios, counts of voxels, HD95 in mm, counts of
 * lesions. NaN (null in JSON) where the convention excludes a score.
 */
export type Scores = Record<
  | "Dice"
  | "IoU"
  | "HD95"
  | "TP"
  | "FP"
  | "FN"
  | "TN"
  | "n_pred"
  | "n_ref"
  | "Sensitivity"
  | "Specificity"
  | "LesionWise_Dice"
  | "LesionWise_HD95"
  | "LesionWise_TP"
  | "LesionWise_FP"
  | "LesionWise_FN",
  number
>;

/** Scores by region. */
export type RegionScores = Record<Region, Scores>;

/** A convention with its means. */
export interface ConventionSummary extends Convention {
  /** Mean over the cases that the convention counts, by region. */
  mean: Record<Region, Pick<Scores, "Dice" | "HD95" | "Sensitivity">>;
  /** The number of these cases. */
  counted: Record<Region, Pick<Scores, "Dice" | "HD95" | "Sensitivity">>;
}

/** The references that were to be scored, and those without a prediction. */
export interface Coverage {
  /** The number of cases that all means are over. */
  scored: number;
  references: number;
  /** The cases without a prediction, and why, if that is known. */
  missing: { case: string; why: string | null }[];
}

/** The content of summary.json. */
export interface Summary {
  /** Mean over regions of the mean over cases. */
  foreground_mean: Scores;
  /** Mean over cases. */
  mean: RegionScores;
  metric_per_case: {
    case: string;
    reference_file?: string;
    prediction_file?: string;
    /** The time of the prediction, where it is known. */
    seconds?: number;
    metrics: RegionScores;
  }[];
  /** The convention of all scores above. */
  convention: ConventionName;
  /** All known conventions side by side. */
  conventions: Record<ConventionName, ConventionSummary>;
  /**
   * The number of cases with an empty region: in both maps, in the reference only, in the prediction only.
   */
  empty: Record<Region, { both: number; reference: number; prediction: number }>;
  /** Bootstrap intervals over cases of the means of each region, and of the mean over regions. */
  intervals: { level: number; draws: number; seed: number } & Record<"Dice" | "HD95", RegionIntervals>;
  /** Only of evaluated folders: a stage scores all of its test cases. */
  coverage?: Coverage;
}

/** Confidence intervals by region; NaN (null in JSON) where fewer than two cases are counted. */
export type RegionIntervals = Record<Region | "mean", Interval>;

const amount = v.nullable(v.number()); // JSON has null for NaN
const keys = (...names: string[]) => v.looseObject(Object.fromEntries(names.map((name) => [name, amount])));
const regions = <Value>(of: v.GenericSchema<Value>) => v.looseObject({ WT: of, TC: of, ET: of });
const scored = keys("Dice", "HD95", "TP", "FP", "FN", "n_pred", "n_ref", "Sensitivity");
const interval = v.looseObject({ low: amount, high: amount });
const intervals = v.looseObject({ ...regions(interval).entries, mean: interval });
const means = regions(keys("Dice", "HD95", "Sensitivity"));

const Schema = v.looseObject({
  foreground_mean: scored,
  mean: regions(scored),
  metric_per_case: v.array(
    v.looseObject({
      case: v.string(),
      reference_file: v.optional(v.string()),
      prediction_file: v.optional(v.string()),
      seconds: v.optional(v.number()),
      metrics: regions(scored),
    }),
  ),
  convention: v.picklist(CONVENTION_NAMES),
  conventions: v.looseObject(
    Object.fromEntries(
      CONVENTION_NAMES.map((name) => [name, v.looseObject({ mean: means, counted: means })]),
    ),
  ),
  empty: regions(keys("both", "reference", "prediction")),
  intervals: v.looseObject({ Dice: intervals, HD95: intervals }),
});

/** Tells whether a value is the content of a summary.json. */
export function isSummary(value: unknown): value is Summary {
  return v.is(Schema, value);
}

/** Summarises one or more cases. Throws for none. */
export function summarise(cases: readonly CaseMetrics[], convention: ConventionName = "brats"): Summary {
  if (cases.length === 0) throw new Error("summarise: expected at least one case, got none");
  const perCase = cases.map((measured) => ({
    case: measured.case,
    ...(measured.referenceFile === undefined ? {} : { reference_file: measured.referenceFile }),
    ...(measured.predictionFile === undefined ? {} : { prediction_file: measured.predictionFile }),
    ...(measured.seconds === undefined ? {} : { seconds: measured.seconds }),
    metrics: byRegion((region) => scores(measured.regions[region], CONVENTIONS[convention])),
  }));
  const mean = byRegion((region) => meanOf(perCase.map(({ metrics }) => metrics[region])));
  const sideBySide = CONVENTION_NAMES.map((name) => [name, conventionSummary(cases, CONVENTIONS[name])]);
  return {
    foreground_mean: foregroundMean(mean),
    mean,
    metric_per_case: perCase,
    convention,
    conventions: Object.fromEntries(sideBySide) as Summary["conventions"],
    empty: byRegion((region) => emptyCounts(cases.map(({ regions }) => regions[region]))),
    intervals: intervalsOf(perCase.map(({ metrics }) => metrics)),
  };
}

function byRegion<T>(of: (region: Region) => T): Record<Region, T> {
  return Object.fromEntries(REGION_NAMES.map((region) => [region, of(region)])) as Record<Region, T>;
}

function scores(metrics: RegionMetrics, rule: Convention): Scores {
  const { tp, fp, fn, tn, predicted, referenced, specificity, lesions } = metrics;
  const { Dice, IoU, HD95, Sensitivity } = applyConvention(metrics, rule);
  return {
    Dice,
    IoU,
    HD95,
    TP: tp,
    FP: fp,
    FN: fn,
    TN: tn,
    n_pred: predicted,
    n_ref: referenced,
    Sensitivity,
    Specificity: specificity ?? NaN,
    LesionWise_Dice: lesions.dice,
    LesionWise_HD95: lesions.hd95,
    LesionWise_TP: lesions.tp,
    LesionWise_FP: lesions.fp,
    LesionWise_FN: lesions.fn,
  };
}

function conventionSummary(cases: readonly CaseMetrics[], rule: Convention): ConventionSummary {
  const columns = (of: (values: number[]) => number): ConventionSummary["mean"] =>
    byRegion((region) => {
      const rows = cases.map(({ regions }) => applyConvention(regions[region], rule));
      const column = (key: "Dice" | "HD95" | "Sensitivity"): number => of(rows.map((row) => row[key]));
      return { Dice: column("Dice"), HD95: column("HD95"), Sensitivity: column("Sensitivity") };
    });
  return { ...rule, mean: columns(meanOfDefined), counted: columns((values) => defined(values).length) };
}

function intervalsOf(cases: readonly RegionScores[]): Summary["intervals"] {
  const keys = ["Dice", "HD95"] as const;
  const columns = keys.flatMap((key) => {
    const regions = REGION_NAMES.map((region) => cases.map((scored) => scored[region][key]));
    const mean = cases.map((_, i) => regions.reduce((sum, column) => sum + column[i]!, 0) / regions.length);
    return [...regions, mean];
  });
  const drawn = bootstrapMeans(columns);
  const names = [...REGION_NAMES, "mean"];
  const of = (from: number) => Object.fromEntries(names.map((name, i) => [name, drawn[from + i]]));
  const [Dice, HD95] = [of(0), of(names.length)] as [RegionIntervals, RegionIntervals];
  return { ...BOOTSTRAP, Dice, HD95 };
}

function meanOf(rows: readonly Scores[]): Scores {
  const keys = Object.keys(rows[0]!) as (keyof Scores)[];
  return Object.fromEntries(keys.map((key) => [key, meanOfDefined(rows.map((row) => row[key]))])) as Scores;
}

/** The mean over regions; undefined if one region's is, as in nnU-Net. */
function foregroundMean(mean: RegionScores): Scores {
  const rows = Object.values(mean);
  const keys = Object.keys(mean.WT) as (keyof Scores)[];
  const means = keys.map((key) => [key, rows.reduce((sum, row) => sum + row[key], 0) / rows.length]);
  return Object.fromEntries(means) as Scores;
}

function meanOfDefined(values: readonly number[]): number {
  const counted = defined(values);
  return counted.reduce((sum, value) => sum + value, 0) / counted.length;
}

function defined(values: readonly number[]): number[] {
  return values.filter((value) => !Number.isNaN(value));
}

function emptyCounts(rows: readonly RegionMetrics[]): Summary["empty"][Region] {
  const count = (test: (row: RegionMetrics) => boolean): number => rows.filter(test).length;
  return {
    both: count(({ predicted, referenced }) => predicted + referenced === 0),
    reference: count(({ predicted, referenced }) => predicted > 0 && referenced === 0),
    prediction: count(({ predicted, referenced }) => predicted === 0 && referenced > 0),
  };
}
