// The segmentation terms of a method's loss.

import { withCoarse } from "../losses/deepSupervision.ts";
import { segmentationTerms, type Terms } from "../losses/losses.ts";
import type { BatchOutput } from "../networks/parts.ts";
import type { DeviceBatch } from "./method.ts";

/** Cross-entropy and Dice of a network's output for a batch. */
export function segmentation({ logits }: BatchOutput, { label }: DeviceBatch): Terms {
  return segmentationTerms(logits, label);
}

/** Adds deep supervision to a loss, if the network has auxiliary heads. */
export function deeplySupervised(terms: Terms, output: BatchOutput, batch: DeviceBatch): Terms {
  return withCoarse(terms, output, batch.coarseLabels(output.coarse.length));
}
