// A batch of patches on its way to the device.

import { type Device, tensor, type Tensor } from "../../engine/index.ts";
import { coarseLabels } from "../../model/losses/deepSupervision.ts";
import type { TrainBatch } from "./options.ts";

export interface UploadedBatch {
  /** [N,D,H,W] */
  label: Tensor;
  /** The same at half the resolution, a quarter, …: as many levels as were asked for. */
  below: Tensor[];
  /** [N,modalities,D,H,W] */
  images: Tensor;
  /** Those of the images that the trained network sees, [N,channels,D,H,W]. */
  seen: Tensor;
}

/** Puts a batch on the device; the tensors are the caller's to free. */
export function uploadBatch(
  device: Device,
  { images: values, label, cases }: TrainBatch,
  options: { patch: readonly [number, number, number]; channels: readonly number[]; levels: number },
): UploadedBatch {
  const { patch, channels, levels } = options;
  const N = cases.length;
  const images = tensor(device, [N, values.length / label.length, ...patch], values);
  return {
    label: tensor(device, [N, ...patch], label),
    below: coarseLabels(label, patch, levels).map(({ shape, data }) => tensor(device, [N, ...shape], data)),
    images,
    seen: pick(images, values, channels),
  };
}

/** The chosen channels of a batch; all of them are the batch itself. */
function pick(images: Tensor, data: Float32Array, channels: readonly number[]): Tensor {
  const [N, M, ...patch] = images.shape as [number, number, ...number[]];
  const voxels = patch.reduce((a, b) => a * b, 1);
  const picked = new Float32Array(N * channels.length * voxels);
  for (let n = 0; n < N; n++) {
    for (const [i, m] of channels.entries()) {
      picked.set(
        data.subarray((n * M + m) * voxels, (n * M + m + 1) * voxels),
        (n * channels.length + i) * voxels,
      );
    }
  }
  return tensor(images.device, [N, channels.length, ...patch], picked);
}
