// Metrics over cases in the shape of nnU-Net's summary.json (same keys, plus HD95, the regions by name, and
// the convention that decided what an empty region scores).
import type { CaseMetrics, RegionMetrics } from "./metrics.ts";
import { type Region, REGION_NAMES } from "./regions.ts";

/** What an undefined measure is set to. HD95 in mm. */
export interface Convention {
  /** Where it is used, in words. */
  source: string;
  /** The region is in neither map: nothing to find, nothing found. */
  both_empty: { Dice: number; HD95: number };
  /** The region is in one of the two maps only. */
  one_empty: { Dice: number; HD95: number };
}

/** The known conventions, by name. 373.12866 mm is the diagonal of a 240x240x155 mm volume. */
export const CONVENTIONS = {
  brats: {
    source: "BraTS online evaluation up to 2022",
    both_empty: { Dice: 1, HD95: 0 },
    one_empty: { Dice: 0, HD95: 373.12866 },
  },
} as const satisfies Record<string, Convention>;

/** A known convention's name. */
export type ConventionName = keyof typeof CONVENTIONS;

/** One region's scores under nnU-Net's names: ratios, voxels, HD95 in mm. In a mean, all are means. */
export type Scores = Record<"Dice" | "IoU" | "HD95" | "TP" | "FP" | "FN" | "TN" | "n_pred" | "n_ref", number>;

/** Scores by region. */
export type RegionScores = Record<Region, Scores>;

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
    metrics: RegionScores;
  }[];
  /** Name of the convention in force in every number above. */
  convention: ConventionName;
  conventions: Partial<Record<ConventionName, Convention>>;
  /** In how many cases a region was empty: in both maps, in the reference only, in the prediction only. */
  empty: Record<Region, { both: number; reference: number; prediction: number }>;
}

/** The summary of one or more cases. */
export function summarise(cases: readonly CaseMetrics[], convention: ConventionName = "brats"): Summary {
  if (cases.length === 0) throw new Error("summarise: at least one case, got none");
  const perCase = cases.map((measured) => ({
    case: measured.case,
    ...(measured.referenceFile === undefined ? {} : { reference_file: measured.referenceFile }),
    ...(measured.predictionFile === undefined ? {} : { prediction_file: measured.predictionFile }),
    metrics: byRegion((region) => scores(measured.regions[region], CONVENTIONS[convention])),
  }));
  const mean = byRegion((region) => meanOf(perCase.map(({ metrics }) => metrics[region])));
  return {
    foreground_mean: meanOf(Object.values(mean)),
    mean,
    metric_per_case: perCase,
    convention,
    conventions: { [convention]: CONVENTIONS[convention] },
    empty: byRegion((region) => emptyCounts(cases.map(({ regions }) => regions[region]))),
  };
}

function byRegion<T>(of: (region: Region) => T): Record<Region, T> {
  return Object.fromEntries(REGION_NAMES.map((region) => [region, of(region)])) as Record<Region, T>;
}

function scores(
  { dice, hd95, tp, fp, fn, tn, predicted, referenced }: RegionMetrics,
  rule: Convention,
): Scores {
  const both = predicted + referenced === 0;
  return {
    Dice: dice ?? rule.both_empty.Dice,
    IoU: both ? rule.both_empty.Dice : tp / (tp + fp + fn),
    HD95: hd95 ?? (both ? rule.both_empty.HD95 : rule.one_empty.HD95),
    ...{ TP: tp, FP: fp, FN: fn, TN: tn, n_pred: predicted, n_ref: referenced },
  };
}

function meanOf(rows: readonly Scores[]): Scores {
  const keys = Object.keys(rows[0]!) as (keyof Scores)[];
  const mean = keys.map((key) => [key, rows.reduce((sum, row) => sum + row[key], 0) / rows.length]);
  return Object.fromEntries(mean) as Scores;
}

function emptyCounts(rows: readonly RegionMetrics[]): Summary["empty"][Region] {
  const count = (test: (row: RegionMetrics) => boolean): number => rows.filter(test).length;
  return {
    both: count(({ predicted, referenced }) => predicted + referenced === 0),
    reference: count(({ predicted, referenced }) => predicted > 0 && referenced === 0),
    prediction: count(({ predicted, referenced }) => predicted === 0 && referenced > 0),
  };
}
