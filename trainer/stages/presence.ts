// The presence of WT, TC and ET in the windows of a prepared case, by a network that classifies, and the
// scores of it: AUC and average precision.

import type { Case } from "../../data/preparation/preprocess.ts";
import { type Device, free, scope, sigmoid, tensor } from "../../engine/index.ts";
import { cut, imageOf, NonFiniteError } from "../../model/inference/predict.ts";
import { eachRow, windowCorners } from "../../model/inference/windows.ts";
import type { NamedImage } from "../../model/networks/anyContrasts.ts";
import { forward, type Network } from "../../model/networks/network.ts";
import { areaUnderCurve, averagePrecision, type Ranked } from "../../model/scoring/ranking.ts";
import { type Region, REGION_NAMES, REGIONS, type Vec3 } from "../../model/scoring/regions.ts";
import type { Validation } from "../loop/records.ts";
import type { Windows } from "./prediction.ts";

/** A window, with the probability that it shows each region. */
export interface WindowPresence {
  corner: Vec3;
  probability: Record<Region, number>;
}

/** A window with what its label shows. */
export interface JudgedWindow extends WindowPresence {
  present: Record<Region, boolean>;
}

type Seen = NamedImage & Pick<Case, "size">;

/**
 * Predicts the presence of the regions in each window of a prepared case, in the volume's order. Throws a
 * NonFiniteError where a probability is NaN.
 */
export async function casePresence(
  device: Device,
  network: Network,
  prepared: Seen,
  { patch, window, step }: Windows,
  progress?: (done: number, all: number) => void,
): Promise<WindowPresence[]> {
  const image = imageOf(prepared);
  const corners = windowCorners(prepared.size, patch, {
    weighting: window,
    ...(step !== undefined && { step }),
  });
  const windows: WindowPresence[] = [];
  for (const [i, corner] of corners.entries()) {
    const x = tensor(device, [1, image.channels, ...patch], cut(image, corner, patch));
    const answer = scope(() => sigmoid(forward(network, x, { mode: "eval" }).logits));
    const values = await answer.read().finally(() => [x, answer].forEach(free));
    if (values.some(Number.isNaN))
      throw new NonFiniteError("probabilities of presence are NaN: the weights or the input are too large");
    const probability = Object.fromEntries(REGION_NAMES.map((region, k) => [region, values[k]!]));
    windows.push({ corner, probability: probability as WindowPresence["probability"] });
    progress?.(i + 1, corners.length);
  }
  return windows;
}

/** The regions that a window of a label [size] shows. */
export function shownIn(label: Uint8Array, size: Vec3, window: Vec3, corner: Vec3): Record<Region, boolean> {
  const found = new Set<number>();
  eachRow(size, window, corner, (at, _to, length) => {
    for (let i = at; i < at + length; i++) found.add(label[i]!);
  });
  const shown = REGION_NAMES.map((region) => [region, REGIONS[region].some((c) => found.has(c))] as const);
  return Object.fromEntries(shown) as Record<Region, boolean>;
}

/** The windows of a prepared case with its label. */
export async function judgedWindows(
  device: Device,
  network: Network,
  prepared: Seen & { label: Uint8Array },
  windows: Windows,
): Promise<JudgedWindow[]> {
  const found = await casePresence(device, network, prepared, windows);
  return found.map((one) => ({
    ...one,
    present: shownIn(prepared.label, prepared.size, windows.patch, one.corner),
  }));
}

/** The AUC of each region over windows, and their mean; beside it the average precision. */
export function presenceScores(windows: readonly JudgedWindow[]): Required<Omit<Validation, "contrasts">> {
  const by = (score: (ranked: readonly Ranked[]) => number) => {
    const of = (region: Region) =>
      score(
        windows.map(({ probability, present }) => ({
          score: probability[region],
          present: present[region],
        })),
      );
    const [WT, TC, ET] = [of("WT"), of("TC"), of("ET")];
    return { WT, TC, ET, mean: (WT + TC + ET) / 3 };
  };
  return { ...by(areaUnderCurve), precision: by(averagePrecision) };
}

/** The highest probability of each region over the windows of a case, and the window that has it. */
export function casePeaks(
  windows: readonly WindowPresence[],
): Record<Region, { probability: number; corner: Vec3 }> {
  const peaks = REGION_NAMES.map((region) => {
    const best = windows.reduce((a, b) => (b.probability[region] > a.probability[region] ? b : a));
    return [region, { probability: best.probability[region], corner: best.corner }] as const;
  });
  return Object.fromEntries(peaks) as ReturnType<typeof casePeaks>;
}
