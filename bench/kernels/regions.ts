// The losses of regions at the shape of the logits, of the bottleneck at its own, and features with the
// statistics of others.

import {
  adain,
  binaryLosses,
  featureDivergence,
  likeliestClasses,
  regionLogits,
  regionMasks,
  regionProbabilities,
  weightedSum,
} from "../../engine/index.ts";
import { VNET } from "../../model/networks/vnet.ts";
import { REGIONS } from "../../model/scoring/regions.ts";
import * as distances from "../../test/support/reference/distances.ts";
import * as reference from "../../test/support/reference/regions.ts";
import { labels, normal } from "../values.ts";
import { against, forward, type KernelCase, type Pass } from "./case.ts";

const CLASSES = VNET.classes;
const TUMOUR = Object.values(REGIONS);
const DICE = 2; // the weight of a term, so that it is not mistaken for the other

/** The cases of a network of so many filters, on patches [D,H,W]. */
export function regionCases(filters: number, patch: readonly number[]): KernelCase[] {
  const detail = `${TUMOUR.length} regions`;
  const logits = () => normal([1, CLASSES, ...patch], 1, 2);
  const label = () => labels([1, ...patch], CLASSES);
  const scores = () => normal([1, TUMOUR.length, ...patch], 1, 2);
  const targets = () => {
    const { shape, data } = normal([1, TUMOUR.length, ...patch], 2, 2);
    return { shape, data: data.map((x) => 1 / (1 + Math.exp(-x))) };
  };
  const below = VNET.levels - 1;
  const size = patch.map((edge) => edge / 2 ** below);
  const bottleneck = (seed: number) => () => normal([1, filters * 2 ** below, ...size], seed);
  const backward = (by: string, ...reads: string[]): Pass => ({ name: "backward", by: [by], reads });
  const last = (seed: number) => () => normal([1, filters, ...patch], seed);
  const features = { student: bottleneck(1), teacher: bottleneck(2) };
  return [
    {
      op: "regionLogits",
      detail,
      size: patch,
      inputs: { logits },
      run: ({ logits }) => regionLogits(logits!, TUMOUR),
      passes: [forward({ logits }), backward("logits", "logits", "dy")],
      check: against(({ logits }) => reference.regionLogits(logits!, TUMOUR), "voxels"),
    },
    {
      op: "regionProbabilities",
      detail,
      size: patch,
      inputs: { logits },
      run: ({ logits }) => regionProbabilities(logits!, TUMOUR, 5),
      passes: [forward({ logits })],
      check: against(({ logits }) => reference.regionProbabilities(logits!, TUMOUR, 5), "voxels"),
    },
    {
      op: "regionMasks",
      detail,
      size: patch,
      inputs: { label },
      run: ({ label }) => regionMasks(label!, TUMOUR, CLASSES),
      passes: [forward({ label })],
      check: against(({ label }) => reference.regionMasks(label!, TUMOUR)),
    },
    {
      op: "likeliestClasses",
      detail,
      size: patch,
      inputs: { logits },
      run: ({ logits }) => likeliestClasses(logits!),
      passes: [forward({ logits })],
      check: against(({ logits }) => reference.likeliestClasses(logits!), "voxels"),
    },
    {
      op: "binaryLosses",
      detail,
      size: patch,
      inputs: { logits: scores, targets },
      run: ({ logits, targets }) => {
        const { crossEntropy, dice } = binaryLosses(logits!, targets!, { temperature: 5 });
        return weightedSum([
          [1, crossEntropy],
          [DICE, dice],
        ]);
      },
      passes: [forward({ logits, targets }), backward("logits", "logits", "targets")],
      check: against(({ logits, targets }) => {
        const entropy = reference.binaryCrossEntropy(logits!, targets!, 5).data[0]!;
        const dice = reference.softDice(logits!, targets!, 5).data[0]!;
        return { shape: [], data: Float64Array.of(entropy + DICE * dice) };
      }),
    },
    {
      op: "featureDivergence",
      detail: `${filters * 2 ** below} channels`,
      size,
      inputs: features,
      run: ({ student, teacher }) => featureDivergence(student!, teacher!),
      passes: [forward(features), backward("student", "student", "teacher")],
      check: against(({ student, teacher }) => reference.featureDivergence(student!, teacher!)),
    },
    {
      op: "adain",
      detail: `${filters} channels`,
      size: patch,
      inputs: { x: last(1), style: last(2) },
      run: ({ x, style }) => adain(x!, style!),
      passes: [forward({ x: last(1), style: last(2) }), backward("style", "x", "style", "dy")],
      check: against(({ x, style }) => distances.adain(x!, style!)),
    },
  ];
}
