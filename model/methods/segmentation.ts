// The labels' terms of a method's loss.

import { binaryLosses, regionLogits, regionMasks, type Tensor } from "../../engine/index.ts";
import { type LabelTerms, withCoarse } from "../losses/deepSupervision.ts";
import { crossEntropyTerm, segmentationTerms, type Terms } from "../losses/losses.ts";
import type { BatchOutput } from "../networks/parts.ts";
import { REGION_NAMES, REGIONS } from "../scoring/regions.ts";
import type { DeviceBatch } from "./method.ts";

/** The classes of each of the overlapping regions WT, TC, ET. */
export const REGION_CLASSES = REGION_NAMES.map((region) => REGIONS[region]);

/** The terms of L_seg by the values of --segmentation. */
const TERMS = {
  classes: segmentationTerms,
  ce: crossEntropyTerm,
  regions: regionTerms,
} satisfies Record<string, LabelTerms>;

export type Segmentation = keyof typeof TERMS;

export const SEGMENTATIONS = Object.keys(TERMS) as Segmentation[];

/** The labels' terms of a network's output for a batch: by default cross-entropy and Dice of the classes. */
export function segmentation(
  { logits }: BatchOutput,
  { label }: DeviceBatch,
  of: Segmentation = "classes",
): Terms {
  return TERMS[of](logits, label);
}

/** Adds deep supervision to a loss, if the network has auxiliary heads. */
export function deeplySupervised(
  terms: Terms,
  output: BatchOutput,
  batch: DeviceBatch,
  of: Segmentation = "classes",
): Terms {
  return withCoarse(terms, output, batch.coarseLabels(output.coarse.length), TERMS[of]);
}

/**
 * Cross-entropy and Dice, with squared denominators, of the probabilities of the regions: KD-Net's L_GT.
 */
function regionTerms(logits: Tensor, label: Tensor): Terms {
  const masks = regionMasks(label, REGION_CLASSES, logits.shape[1]!);
  const { crossEntropy, dice } = binaryLosses(regionLogits(logits, REGION_CLASSES), masks);
  return { regionCrossEntropy: [1, crossEntropy], regionDice: [1, dice] };
}

/** Multiplies the weights of terms. */
export function scaled(terms: Terms, factor: number): Terms {
  return Object.fromEntries(
    Object.entries(terms).map(([name, [weight, term]]) => [name, [factor * weight, term] as const]),
  );
}
