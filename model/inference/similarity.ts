// Maps of what ProtoKD compares (Wang et al., ICASSP 2023): the cosine of each voxel's features and each
// class's prototype. In training prototypes come from a patch; here they come from the whole volume.

import {
  classCounts,
  cosineMaps,
  type Device,
  free,
  prototypes,
  scope,
  tensor,
  type Tensor,
} from "../../engine/index.ts";
import { cut, type Image } from "./predict.ts";
import type { Vec3 } from "../scoring/regions.ts";
import { eachRow, windowCorners } from "./windows.ts";

const EPS = 1e-5; // prototypes() adds it to a class's number of voxels

export interface SimilarityOptions {
  window: Vec3;
  /** The class of every voxel [D, H, W]; a class's prototype is the mean over its voxels. */
  label: Uint8Array;
  classes: number;
  /** Records the network on x [1, channels, ...window] and returns features [1, F, ...window]. */
  features: (x: Tensor) => Tensor;
  /** Called after each window; all windows are run twice. */
  progress?: (done: number, all: number) => void;
}

/** Each class's map [D, H, W] of cosines, -1 to 1; 0 everywhere for a class that the label lacks. */
export async function similarityMaps(
  device: Device,
  image: Image,
  options: SimilarityOptions,
): Promise<Float32Array[]> {
  const { window, label, classes, features, progress } = options;
  const { size, channels } = image;
  const corners = windowCorners(size, window);
  let done = 0;
  const input = (corner: Vec3) => tensor(device, [1, channels, ...window], cut(image, corner, window));

  let sums = new Float32Array(0); // [classes + 1, F]
  const counts = new Float32Array(classes + 1);
  const counted = new Uint8Array(label.length); // 1 for voxels of earlier windows
  for (const corner of corners) {
    const x = input(corner);
    const part = new Float32Array(window[0] * window[1] * window[2]).fill(classes); // an extra class
    eachRow(size, window, corner, (at, to, length) => {
      for (let i = 0; i < length; i++) {
        if (!counted[at + i]) part[to + i] = label[at + i]!;
        counted[at + i] = 1;
      }
    });
    const y = tensor(device, [1, ...window], part);
    const made = scope(() => {
      const means = prototypes(features(x), y, classes + 1);
      return { means, voxels: classCounts(y, classes + 1) };
    });
    const [means, voxels] = [await made.means.read(), await made.voxels.read()];
    [x, y, made.means, made.voxels].forEach(free);
    if (!sums.length) sums = new Float32Array(means.length);
    const width = means.length / (classes + 1);
    means.forEach((mean, i) => (sums[i]! += mean * (voxels[Math.floor(i / width)]! + EPS)));
    voxels.forEach((number, k) => (counts[k]! += number));
    progress?.(++done, 2 * corners.length);
  }

  const centres = centresOf(sums, counts);
  const width = centres.length / classes;
  const inside = window[0] * window[1] * window[2];
  const maps = Array.from({ length: classes }, () => new Float32Array(label.length));
  const windows = new Float32Array(label.length); // the number of windows over each voxel
  const prototype = tensor(device, [1, classes, width], centres);
  for (const corner of corners) {
    const x = input(corner);
    const cosines = scope(() => cosineMaps(features(x), prototype));
    const values = await cosines.read();
    [x, cosines].forEach(free);
    eachRow(size, window, corner, (at, to, length) => {
      for (let i = 0; i < length; i++) {
        windows[at + i]!++;
        maps.forEach((map, k) => (map[at + i]! += values[k * inside + to + i]!));
      }
    });
    progress?.(++done, 2 * corners.length);
  }
  free(prototype);
  for (const map of maps) windows.forEach((number, i) => (map[i]! /= number));
  return maps;
}

/** The mean feature of each class [classes, F], from sums [classes + 1, F] whose last row is of no class. */
function centresOf(sums: Float32Array, counts: Float32Array): Float32Array {
  const width = sums.length / counts.length;
  const means = sums.map((sum, i) => sum / Math.max(1, counts[Math.floor(i / width)]!));
  return means.subarray(0, sums.length - width);
}
