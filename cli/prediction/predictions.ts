// Predicts cases and writes label maps, each in the grid, affine and label convention of its source.

import { join } from "node:path";
import { fromClasses, type LabelConvention } from "../../data/datasets/labels.ts";
import { writeLabelLike, writeProbabilitiesLike } from "../../data/nifti/nifti.ts";
import { type Case, uncrop, uncropProbabilities } from "../../data/preparation/preprocess.ts";
import type { Device } from "../../engine/index.ts";
import { imageOf, likeliest, probabilities } from "../../model/inference/predict.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import { forward, type Network } from "../../model/networks/network.ts";
import type { Tiling } from "../../model/inference/windows.ts";
import { writeAtomically } from "../files/files.ts";
import { labelFile, probabilitiesFile } from "./labelFiles.ts";

/** The windows of a prediction. */
export interface Windows {
  /** Their size. */
  patch: Vec3;
  /** How they are weighted. */
  window: Tiling["weighting"];
  /** The distance of neighbours, as a share of their size; 0.5 by default. */
  step?: number;
  /** Average over all reflections of the volume. */
  mirror?: boolean;
}

/** Called after each window. */
type Report = (done: number, all: number) => void;

/** The part of a case that a network needs. */
type Prepared = Pick<Case, "images" | "channels" | "size" | "background">;

/** Classes of a prepared case [D,H,W] (cropped), by sliding windows. */
export async function predictCase(
  device: Device,
  network: Network,
  prepared: Prepared,
  windows: Windows,
  progress?: Report,
): Promise<Uint8Array> {
  const found = await caseProbabilities(device, network, prepared, windows, progress);
  return likeliest(found, network.config.classes);
}

/** Probabilities of a prepared case [classes,D,H,W] (cropped), by sliding windows. */
export function caseProbabilities(
  device: Device,
  network: Network,
  prepared: Prepared,
  { patch, window, step, mirror }: Windows,
  progress?: Report,
): Promise<Float32Array> {
  return probabilities(device, imageOf(prepared), {
    window: patch,
    weighting: window,
    ...(step !== undefined && { step }),
    ...(mirror !== undefined && { mirror }),
    classes: network.config.classes,
    network: (x) => forward(network, x, "eval").logits,
    ...(progress && { progress }),
  });
}

/** The mean of several networks' probabilities, each for its own crop, in the source's whole grid. */
export class Mean {
  #sums: Float32Array | null = null;
  #members = 0;

  /** Adds the probabilities [classes,D,H,W] of one network's crop; outside of it, all is background. */
  add(found: Float32Array, classes: number, prepared: Pick<Case, "size" | "source">): void {
    const whole = uncropProbabilities(found, classes, prepared);
    this.#members++;
    if (this.#sums) whole.forEach((value, i) => (this.#sums![i]! += value));
    else this.#sums = whole;
  }

  /** The mean [classes,D,H,W]; call add() first. */
  probabilities(): Float32Array {
    const sums = this.#sums!;
    return this.#members > 1 ? sums.map((sum) => sum / this.#members) : sums;
  }
}

/** Writes FOLDER/<id>.nii.gz and returns the classes in the source's whole grid. */
export async function writePrediction(
  folder: string,
  prepared: Case,
  classes: Uint8Array,
  convention: LabelConvention,
): Promise<Uint8Array> {
  const whole = uncrop(classes, prepared);
  await writeWhole(folder, prepared, whole, convention);
  return whole;
}

/** Writes FOLDER/<id>.nii.gz of classes in the source's whole grid. */
export async function writeWhole(
  folder: string,
  { id, source: { header, size } }: Pick<Case, "id" | "source">,
  classes: Uint8Array,
  convention: LabelConvention,
): Promise<void> {
  const file = await writeLabelLike(header, fromClasses(classes, convention), size);
  await writeAtomically(join(folder, labelFile(id)), file);
}

/** Writes FOLDER/<id>_probabilities.nii.gz of probabilities [classes,D,H,W] in the source's whole grid. */
export async function writeProbabilities(
  folder: string,
  { id, source: { header, size } }: Pick<Case, "id" | "source">,
  found: Float32Array,
): Promise<void> {
  await writeAtomically(
    join(folder, probabilitiesFile(id)),
    await writeProbabilitiesLike(header, found, size),
  );
}

/** The case with only the channels `wanted`, for a network of fewer modalities. */
export function withChannels(prepared: Case, wanted: readonly string[]): Case {
  const { channels, images, size, background } = prepared;
  if (channels.join() === wanted.join()) return prepared;
  const voxels = size[0] * size[1] * size[2];
  const indices = wanted.map((name) => channels.findIndex((c) => c === name));
  const picked = new Float32Array(indices.length * voxels);
  indices.forEach((m, i) => picked.set(images.subarray(m * voxels, (m + 1) * voxels), i * voxels));
  return {
    ...prepared,
    channels: indices.map((m) => channels[m]!),
    images: picked,
    ...(background && { background: indices.map((m) => background[m]!) }),
  };
}
