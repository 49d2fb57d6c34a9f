// Deep supervision, as nnU-Net's (Isensee et al., Nature Methods 2021): the decoder's levels below full resolution are
// segmented too, by heads of their own, whose losses count less the coarser they are. Only training knows of them: a
// network is used, and handed on, without.

import { type Tensor } from "../../engine/index.ts";
import { type BatchOutput, segmentationTerms, type Terms } from "./losses.ts";
import type { Values } from "../networks/params.ts";
import type { StoredNetwork } from "../files/published.ts";
import { ASIDE, type Aside, ASIDES, asides } from "../networks/layers.ts";

export { asides };

/**
 * What the losses at full resolution and at each of so many levels below it are multiplied by: 1, 1/2, 1/4, … over their
 * sum. (nnU-Net has one level more, the lowest of the decoder, whose weight is 0.)
 */
export function levelWeights(below: number): number[] {
  const weights = Array.from({ length: below + 1 }, (_, level) => 2 ** -level);
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/**
 * The terms of a loss, with those of the segmentation shared out over full resolution and the levels below it; labels
 * [N,D/2,H/2,W/2], [N,D/4,…], … beside the output's logits there. Without such levels the terms are as they were.
 */
export function superviseLevels(terms: Terms, output: BatchOutput, labels: readonly Tensor[]): Terms {
  if (!labels.length) return terms;
  const [full, ...below] = levelWeights(labels.length) as [number, ...number[]];
  const shared = Object.entries(terms).map(([name, [weight, term]]) => {
    return [name, [name === "crossEntropy" || name === "dice" ? full * weight : weight, term]] as const;
  });
  const added = labels.flatMap((label, i) => {
    const aside = ASIDES[i]!;
    const title = aside[0]!.toUpperCase() + aside.slice(1);
    return Object.entries(segmentationTerms(output[aside]!, label)).map(([name, [weight, term]]) => {
      return [name + title, [below[i]! * weight, term]] as const;
    });
  });
  return Object.fromEntries([...shared, ...added]);
}

/**
 * Labels [N,D,H,W] at half the resolution, a quarter, … for so many levels: the voxel behind the middle of each block, as
 * torch.nn.functional.interpolate with mode="nearest-exact". D, H and W are multiples of 2^below.
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

/** The tensors of a network without those of the heads that only training has: what others know the network by. */
export function withoutAsides<T>(tensors: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(tensors).filter(([name]) => !name.startsWith(ASIDE)));
}

/** A network as others know it. */
export function withoutHeadsAside(network: StoredNetwork): StoredNetwork {
  const { deepSupervision: _, ...config } = network.config;
  return { config, values: withoutAsides(network.values) };
}

/** First weights that may come from a network without such heads: what it lacks of them is drawn from the seed. */
export function asideSource(values: Readonly<Record<string, Values>>, deep: boolean, seed: number) {
  return { values: deep ? values : withoutAsides(values), seed, drawn: ASIDE };
}

/** The logits of levels below full resolution that an output has, finest first. */
export function asideLogits(output: Partial<Record<Aside, Tensor>>): [Aside, Tensor][] {
  return ASIDES.flatMap((aside) => (output[aside] ? [[aside, output[aside]] as [Aside, Tensor]] : []));
}
