// Conventions for scoring a region that is empty in the prediction, in the reference or in both. Dice, HD95
// and sensitivity are undefined there, and published results differ in the values that they put instead: that
// alone moves a method's ET score by several points. So every result names its convention.

import type { RegionMetrics } from "./metrics.ts";

/** The scores of a case whose measures are undefined; `null` excludes the case from the mean. */
export interface EmptyScores {
  Dice: number | null;
  /** In mm. */
  HD95: number | null;
  /**
   * For a reference without the region, BraTS 2023's code gives 1 and 0, MedPy 0; others do not report it.
   */
  Sensitivity: number | null;
}

/** One convention. Regions that are not empty score the same in all but lesion-wise ones. */
export interface Convention {
  /** Where it is used. */
  source: string;
  /** The region is in neither map. */
  both_empty: EmptyScores;
  /** The region is in the prediction only: a false alarm. */
  reference_empty: EmptyScores;
  /** The region is in the reference only: missed. */
  prediction_empty: EmptyScores;
  /** Scored lesion by lesion; the scores above are then those of one false or missed lesion. */
  lesion_wise?: boolean;
}

/** The known conventions, by name. 373.12866 mm is the diagonal of a 240x240x155 mm volume. */
export const CONVENTIONS = {
  brats: {
    source: "BraTS online evaluation up to 2022, nnU-Net v1's BraTS tasks",
    both_empty: { Dice: 1, HD95: 0, Sensitivity: 1 },
    reference_empty: { Dice: 0, HD95: 373.12866, Sensitivity: 0 },
    prediction_empty: { Dice: 0, HD95: 373.12866, Sensitivity: 0 },
  },
  brats2023: {
    source: "BraTS 2023 lesion-wise evaluation, github.com/rachitsaluja/BraTS-2023-Metrics",
    both_empty: { Dice: 1, HD95: 0, Sensitivity: 1 },
    reference_empty: { Dice: 0, HD95: 374, Sensitivity: 0 },
    prediction_empty: { Dice: 0, HD95: 374, Sensitivity: 0 },
    lesion_wise: true,
  },
  nnunet: {
    source: "nnU-Net v2, summary.json (which has no HD95)",
    both_empty: { Dice: null, HD95: null, Sensitivity: null },
    reference_empty: { Dice: 0, HD95: null, Sensitivity: null },
    prediction_empty: { Dice: 0, HD95: null, Sensitivity: 0 },
  },
  monai: {
    source: "MONAI's DiceMetric and HausdorffDistanceMetric by default (ignore_empty)",
    both_empty: { Dice: null, HD95: null, Sensitivity: null },
    reference_empty: { Dice: null, HD95: null, Sensitivity: null },
    prediction_empty: { Dice: 0, HD95: null, Sensitivity: 0 },
  },
  protokd: {
    source: "ProtoKD's evaluate.py (MedPy; undefined HD95 excluded)",
    both_empty: { Dice: 1, HD95: null, Sensitivity: 0 },
    reference_empty: { Dice: 0, HD95: null, Sensitivity: 0 },
    prediction_empty: { Dice: 0, HD95: null, Sensitivity: 0 },
  },
  acn: {
    source: 'code for missing modalities that says "follow ACN and SMU-Net" (an HD95 of 1 for a miss)',
    both_empty: { Dice: 1, HD95: 0, Sensitivity: null },
    reference_empty: { Dice: 0, HD95: 1, Sensitivity: null },
    prediction_empty: { Dice: 0, HD95: 1, Sensitivity: 0 },
  },
  transunet: {
    source: "TransUNet, issue 39 (a false alarm scores a Dice of 1)",
    both_empty: { Dice: 0, HD95: 0, Sensitivity: null },
    reference_empty: { Dice: 1, HD95: 0, Sensitivity: null },
    prediction_empty: { Dice: 0, HD95: 0, Sensitivity: 0 },
  },
} as const satisfies Record<string, Convention>;

/** The name of a known convention. */
export type ConventionName = keyof typeof CONVENTIONS;

/** The names of all conventions, the default first. */
export const CONVENTION_NAMES = Object.keys(CONVENTIONS) as ConventionName[];

/** A region's ratios and HD95 in mm under a convention; NaN (null in JSON) where it excludes the case. */
export function applyConvention(
  { dice, hd95, sensitivity, tp, fp, fn, predicted, referenced, lesions }: RegionMetrics,
  rule: Convention,
): Record<"Dice" | "IoU" | "HD95" | "Sensitivity", number> {
  const empty = emptyScores(predicted, referenced, rule);
  const decided = empty && {
    Dice: empty.Dice ?? NaN,
    IoU: empty.Dice ?? NaN,
    HD95: empty.HD95 ?? NaN,
    Sensitivity: empty.Sensitivity ?? NaN,
  };
  const scores = decided ?? { Dice: dice!, IoU: tp / (tp + fp + fn), HD95: hd95!, Sensitivity: sensitivity! };
  return rule.lesion_wise ? { ...scores, Dice: lesions.dice, HD95: lesions.hd95 } : scores;
}

function emptyScores(predicted: number, referenced: number, rule: Convention): EmptyScores | null {
  if (predicted + referenced === 0) return rule.both_empty;
  if (referenced === 0) return rule.reference_empty;
  return predicted === 0 ? rule.prediction_empty : null;
}
