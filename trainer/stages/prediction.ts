// A prepared case through a network.

import type { Case } from "../../data/preparation/preprocess.ts";
import type { Device } from "../../engine/index.ts";
import { imageOf, likeliest, probabilities } from "../../model/inference/predict.ts";
import { anyInput, type Contrasts, type NamedImage } from "../../model/networks/anyContrasts.ts";
import type { Tiling } from "../../model/inference/windows.ts";
import { forward, type Network } from "../../model/networks/network.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";

/** The windows of a prediction. */
export interface Windows {
  /** Their size. */
  patch: Vec3;
  /** How they overlap and are weighed. */
  window: Tiling["weighting"];
  /** From one to the next, as a share of their size; 0.5 unless given. */
  step?: number;
  /** Average over all reflections of the volume. */
  mirror?: boolean;
}

/** Called after each window. */
type Progress = (done: number, all: number) => void;

/** The input of a network: its channels by name. */
type Seen = NamedImage & Pick<Case, "size">;

/** Classes of a prepared case [D,H,W] (cropped), by sliding windows. */
export async function predictCase(
  device: Device,
  network: Network,
  prepared: Seen,
  windows: Windows,
  progress?: Progress,
): Promise<Uint8Array> {
  const found = await caseProbabilities(device, network, prepared, windows, progress);
  return likeliest(found, network.config.classes);
}

/** Probabilities of a prepared case [classes,D,H,W] (cropped), by sliding windows. */
export function caseProbabilities(
  device: Device,
  network: Network,
  prepared: Seen,
  { patch, window, step, mirror }: Windows,
  progress?: Progress,
): Promise<Float32Array> {
  return probabilities(device, imageOf(prepared), {
    window: patch,
    weighting: window,
    ...(step !== undefined && { step }),
    ...(mirror !== undefined && { mirror }),
    classes: network.config.classes,
    network: (x) => forward(network, x, { mode: "eval" }).logits,
    ...(progress && { progress }),
  });
}

/**
 * Returns the input of a network made from a case: the contrasts that it sees, in its order; for one that
 * takes any of them, those of `shown` that the case has, with their availability; for one that sees one at a
 * time, the one of `shown`.
 */
export function seenBy(
  prepared: Case,
  { modalities: own, any, each }: Contrasts,
  shown: readonly string[] = own,
): Seen {
  const { channels, images, size, background } = prepared;
  const modalities = each ? shown : own;
  if (any) return { size, ...anyInput(prepared, modalities, shown) };
  if (channels.join() === modalities.join()) return prepared;
  const voxels = size[0] * size[1] * size[2];
  const indices = modalities.map((name) => channels.findIndex((c) => c === name));
  const picked = new Float32Array(indices.length * voxels);
  indices.forEach((m, i) => picked.set(images.subarray(m * voxels, (m + 1) * voxels), i * voxels));
  return {
    size,
    channels: indices.map((m) => channels[m]!),
    images: picked,
    ...(background && { background: indices.map((m) => background[m]!) }),
  };
}
