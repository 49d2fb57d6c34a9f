// Predicted label maps as files, each in its source's own grid, affine and label convention.

import { join } from "node:path";
import { fromClasses, type LabelConvention } from "../data/labels.ts";
import { writeLabelLike } from "../data/nifti.ts";
import { type Case, uncrop } from "../data/preprocess.ts";
import type { Device } from "../engine/index.ts";
import { predict } from "../model/predict.ts";
import type { Vec3 } from "../model/regions.ts";
import { forward, type Network } from "../model/network.ts";
import { writeAtomically } from "./files.ts";

/** Classes of a prepared case [D,H,W] (cropped), by sliding windows of the size `window`. */
export async function predictCase(
  device: Device,
  network: Network,
  { images, channels, size, background }: Pick<Case, "images" | "channels" | "size" | "background">,
  window: Vec3,
  progress?: (done: number, all: number) => void,
): Promise<Uint8Array> {
  const image = { data: images, channels: channels.length, size, ...(background && { background }) };
  return predict(device, image, {
    window,
    classes: network.config.classes,
    network: (x) => forward(network, x, "eval").logits,
    ...(progress && { progress }),
  });
}

/** Writes FOLDER/<id>.nii.gz and returns the classes in the source's whole grid. */
export async function writePrediction(
  folder: string,
  prepared: Case,
  classes: Uint8Array,
  convention: LabelConvention,
): Promise<Uint8Array> {
  const whole = uncrop(classes, prepared);
  const { header, size } = prepared.source;
  const file = await writeLabelLike(header, fromClasses(whole, convention), size);
  await writeAtomically(join(folder, `${prepared.id}.nii.gz`), file);
  return whole;
}

/** The case as a network of fewer modalities sees it. */
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
