// The subsets of the contrasts.

import { type Modality, MODALITIES } from "../../data/datasets/source.ts";

/** All 15 non-empty subsets: single contrasts, pairs, triples, all four, each in channel order. */
export const ALL_SUBSETS: readonly (readonly Modality[])[] = Array.from({ length: 15 }, (_, i) =>
  MODALITIES.filter((_contrast, bit) => ((i + 1) >> bit) & 1),
).sort((a, b) => a.length - b.length || ranks(a).localeCompare(ranks(b)));

/** The name of a subset: "t1+flair". */
export function subsetName(subset: readonly Modality[]): string {
  return subset.join("+");
}

function ranks(subset: readonly Modality[]): string {
  return subset.map((contrast) => MODALITIES.indexOf(contrast)).join("");
}
