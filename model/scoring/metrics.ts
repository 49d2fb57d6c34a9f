// Dice, HD95 and lesion-wise scores of a predicted class map against a reference, per region. A measure that
// is undefined for an empty region is `null` here; the summary replaces it by a convention.

import { hausdorff95 } from "./hausdorff.ts";
import { type LesionMetrics, lesionMetrics } from "./lesions.ts";
import { tighten } from "./masks.ts";
import { type Region, REGIONS, REGION_NAMES, type Vec3 } from "./regions.ts";

/** Measures of one region of one case. Counts are voxels. */
export interface RegionMetrics {
  /** 2 |P∩R| / (|P| + |R|); `null` where both are empty. */
  dice: number | null;
  /** 95th percentile of the pooled surface distances in mm; `null` where one or both are empty. */
  hd95: number | null;
  /** TP / (TP + FN); `null` where the reference is empty. */
  sensitivity: number | null;
  /** TN / (TN + FP); `null` where the reference fills the grid. */
  specificity: number | null;
  tp: number;
  fp: number;
  fn: number;
  tn: number;
  /** Voxels of the region in the prediction. */
  predicted: number;
  /** Voxels of the region in the reference. */
  referenced: number;
  lesions: LesionMetrics;
}

/** All regions of one case, with its files where it comes from files. */
export interface CaseMetrics {
  case: string;
  predictionFile?: string;
  referenceFile?: string;
  /** The time of the prediction, where it is known. */
  seconds?: number;
  regions: Record<Region, RegionMetrics>;
}

/** The shape [D,H,W] of both maps, and the size of their voxels in mm. */
export interface Grid {
  size: Vec3;
  spacing: Vec3;
}

const noLesions: LesionMetrics = { dice: 1, hd95: 0, tp: 0, fp: 0, fn: 0, ignored: 0 };

/**
 * Measures the region of some classes; `prediction` and `reference` are maps of network classes [D,H,W].
 * Throws for a map of another size.
 */
export function regionMetrics(
  prediction: Uint8Array,
  reference: Uint8Array,
  classes: readonly number[],
  { size, spacing }: Grid,
): RegionMetrics {
  const voxels = size[0] * size[1] * size[2];
  for (const [name, map] of Object.entries({ prediction, reference })) {
    if (map.length === voxels) continue;
    throw new Error(`regionMetrics: expected a ${name} of [${size}] = ${voxels} voxels, got ${map.length}`);
  }
  const belongs = new Uint8Array(256);
  for (const value of classes) belongs[value] = 1;

  const whole = { prediction: new Uint8Array(voxels), reference: new Uint8Array(voxels), size };
  let [tp, predicted, referenced] = [0, 0, 0];
  for (let i = 0; i < voxels; i++) {
    const p = belongs[prediction[i]!]!;
    const r = belongs[reference[i]!]!;
    whole.prediction[i] = p;
    whole.reference[i] = r;
    predicted += p;
    referenced += r;
    tp += p & r;
  }
  const [fp, fn] = [predicted - tp, referenced - tp];
  const tn = voxels - tp - fp - fn;
  const pair = tighten(whole);
  return {
    dice: ratio(2 * tp, predicted + referenced),
    hd95: pair === null || predicted === 0 || referenced === 0 ? null : hausdorff95(pair, spacing),
    sensitivity: ratio(tp, referenced),
    specificity: ratio(tn, tn + fp),
    tp,
    fp,
    fn,
    tn,
    predicted,
    referenced,
    lesions: pair === null ? noLesions : lesionMetrics(pair, spacing),
  };
}

/** Measures all regions of one case. */
export function caseMetrics(
  name: string,
  prediction: Uint8Array,
  reference: Uint8Array,
  grid: Grid,
): CaseMetrics {
  const measured = REGION_NAMES.map((region) => [
    region,
    regionMetrics(prediction, reference, REGIONS[region], grid),
  ]);
  return { case: name, regions: Object.fromEntries(measured) as Record<Region, RegionMetrics> };
}

/** The Dice of each region, 1 where both maps lack it: for validations during training. */
export function diceByRegion(prediction: Uint8Array, reference: Uint8Array): Record<Region, number> {
  const dice = (region: Region): number => {
    const belongs = new Uint8Array(256);
    for (const value of REGIONS[region]) belongs[value] = 1;
    let [both, either] = [0, 0];
    for (let i = 0; i < reference.length; i++) {
      const p = belongs[prediction[i]!]!;
      const r = belongs[reference[i]!]!;
      both += p & r;
      either += p + r;
    }
    return ratio(2 * both, either) ?? 1;
  };
  return { WT: dice("WT"), TC: dice("TC"), ET: dice("ET") };
}

/** The mean over cases of each region's Dice, and the mean of these. */
export function meanDice(cases: readonly Record<Region, number>[]): Record<Region | "mean", number> {
  const sums = { WT: 0, TC: 0, ET: 0, mean: 0 };
  for (const dice of cases) for (const region of REGION_NAMES) sums[region] += dice[region] / cases.length;
  sums.mean = (sums.WT + sums.TC + sums.ET) / REGION_NAMES.length;
  return sums;
}

function ratio(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}
