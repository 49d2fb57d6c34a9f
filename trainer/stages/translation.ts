// A prepared case through a network that translates contrasts, and the likeness of the result to the true
// contrast.

import type { Case } from "../../data/preparation/preprocess.ts";
import type { Device } from "../../engine/index.ts";
import { averaged, imageOf } from "../../model/inference/predict.ts";
import { forward, type Network } from "../../model/networks/network.ts";
import { TRANSLATION } from "../../model/networks/twoStream.ts";
import type { Windows } from "./prediction.ts";

/**
 * A prepared case of one contrast [D,H,W] (cropped), translated by sliding windows, in the scale of the
 * network's inputs; voxels of 0 stay 0.
 */
export async function translateCase(
  device: Device,
  network: Network,
  prepared: Case,
  { patch, window, step, mirror }: Windows,
  progress?: (done: number, all: number) => void,
): Promise<Float32Array> {
  const values = await averaged(device, imageOf(prepared), {
    window: patch,
    weighting: window,
    ...(step !== undefined && { step }),
    ...(mirror !== undefined && { mirror }),
    classes: 1,
    network: (x) => forward(network, x, { mode: "eval", taps: [TRANSLATION] }).taps[TRANSLATION]!,
    ...(progress && { progress }),
  });
  return values.map((value, i) => (prepared.images[i] === 0 ? 0 : value));
}

/** The likeness of an image to the true contrast. */
export interface Likeness {
  /** The mean absolute error, in the scale of the network's inputs (the brain's standard deviation is 1). */
  error: number;
  /** Pearson's correlation over the voxels; 0 for a constant image. */
  correlation: number;
}

/** The likeness over the voxels that are not 0 in `source` and in `truth`; NaN without such voxels. */
export function likeness(image: Float32Array, truth: Float32Array, source: Float32Array): Likeness {
  let [count, error, a, b, aa, bb, ab] = [0, 0, 0, 0, 0, 0, 0];
  for (const [i, want] of truth.entries()) {
    if (want === 0 || source[i] === 0) continue;
    const got = image[i]!;
    count++;
    error += Math.abs(got - want);
    a += got;
    b += want;
    aa += got * got;
    bb += want * want;
    ab += got * want;
  }
  const spread = Math.sqrt((count * aa - a * a) * (count * bb - b * b));
  return { error: error / count, correlation: spread > 0 ? (count * ab - a * b) / spread : 0 };
}
