// Deep supervision as in nnU-Net (Isensee et al., Nature Methods 2021): in training, auxiliary heads segment
// the decoder's lower resolutions too, with losses of lower weights.

import type { Tensor } from "../../engine/index.ts";
import { RESOLUTIONS } from "../networks/layers.ts";
import type { BatchOutput } from "../networks/parts.ts";
import { segmentationTerms, type Terms } from "./losses.ts";

/** Computes the labels' terms of logits [N,C,D,H,W] and a label [N,D,H,W]. */
export type LabelTerms = (logits: Tensor, label: Tensor) => Terms;

/**
 * The weights of the losses at full resolution and at `below` lower ones: 1, 1/2, 1/4, …, divided by their
 * sum. (nnU-Net has one more level, the lowest of the decoder, with weight 0.)
 */
export function levelWeights(below: number): number[] {
  const weights = Array.from({ length: below + 1 }, (_, level) => 2 ** -level);
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/**
 * Shares the weights of a loss's terms of the labels between full resolution and the lower ones, given the
 * output's coarse logits, labels [N,D/2,H/2,W/2], [N,D/4,…], … and the function that computes those terms.
 * Without coarse logits the terms stay the same.
 */
export function withCoarse(
  terms: Terms,
  { coarse }: BatchOutput,
  labels: readonly Tensor[],
  ofLabels: LabelTerms = segmentationTerms,
): Terms {
  if (!coarse.length) return terms;
  const [full, ...below] = levelWeights(coarse.length) as [number, ...number[]];
  const lower = coarse.map((logits, i) => ofLabels(logits, labels[i]!));
  const shared = Object.entries(terms).map(([name, [weight, term]]) => {
    return [name, [name in lower[0]! ? full * weight : weight, term]] as const;
  });
  const added = lower.flatMap((own, i) => {
    const resolution = RESOLUTIONS[i]!;
    const title = resolution[0]!.toUpperCase() + resolution.slice(1);
    return Object.entries(own).map(([name, [weight, term]]) => {
      const given = terms[name]?.[0] ?? 1; // auxiliary heads learn from labels in any case
      return [name + title, [below[i]! * given * weight, term]] as const;
    });
  });
  return Object.fromEntries([...shared, ...added]);
}

/**
 * Labels [N,D,H,W] at half the resolution, a quarter, … for `below` levels: the voxel behind the middle of
 * each block, as torch.nn.functional.interpolate with mode="nearest-exact". D, H and W are multiples of
 * 2^below.
 */
export function coarseLabels(
  label: Uint8Array,
  patch: readonly [number, number, number],
  below: number,
): { shape: [number, number, number]; data: Uint8Array }[] {
  const [D, H, W] = patch;
  return Array.from({ length: below }, (_, level) => {
    const factor = 2 ** (level + 1);
    const shape: [number, number, number] = [D / factor, H / factor, W / factor];
    const data = new Uint8Array(label.length / factor ** 3);
    const middle = factor / 2;
    let at = 0;
    for (let row = 0; row < (label.length / (D * H * W)) * D; row += factor) {
      for (let y = middle; y < H; y += factor) {
        const begin = ((row + middle) * H + y) * W;
        for (let x = middle; x < W; x += factor) data[at++] = label[begin + x]!;
      }
    }
    return { shape, data };
  });
}
