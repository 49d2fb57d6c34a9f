// Sliding-window inference: averages the softmax probabilities of overlapping windows of the training patch's
// size. By default the windows are evenly spaced and weighted by a Gaussian, as in nnU-Net; optionally their
// weights are equal, as in the published evaluate.py. Mirroring also averages over the eight reflections of
// the volume.

import { type Device, free, scope, softmax, tensor, type Tensor } from "../../engine/index.ts";
import {
  axisWindows,
  eachRow,
  type Mirror,
  mirrored,
  MIRRORS,
  type Tiling,
  windowCorners,
} from "./windows.ts";
import type { Vec3 } from "../scoring/regions.ts";

/** An image of several channels on the host. */
export interface Image {
  /** [channels, D, H, W] */
  data: Float32Array;
  channels: number;
  size: Vec3;
  /** The value outside the volume, by channel; zero by default. */
  background?: readonly number[];
}

/** A prepared case, its channels by name, as an image. */
export function imageOf(prepared: {
  images: Float32Array;
  channels: readonly unknown[];
  size: Vec3;
  background?: readonly number[];
}): Image {
  const { images: data, channels, size, background } = prepared;
  return { data, channels: channels.length, size, ...(background && { background }) };
}

export interface WindowOptions extends Partial<Tiling> {
  window: Vec3;
  classes: number;
  /** Records the network on x [1, channels, ...window] and returns logits [1, classes, ...window]. */
  network: (x: Tensor) => Tensor;
  /** Averages over all eight reflections of the volume (test-time augmentation); false by default. */
  mirror?: boolean;
  /** Called after each window. */
  progress?: (done: number, all: number) => void;
}

/** Predicted probabilities that are NaN or infinite: the weights or the input are too large for float32. */
export class NonFiniteError extends Error {
  override readonly name = "NonFiniteError";
}

/** Predicts the likeliest class of every voxel [D, H, W]. A volume smaller than the window is padded. */
export async function predict(device: Device, image: Image, options: WindowOptions): Promise<Uint8Array> {
  return likeliest(await probabilities(device, image, options), options.classes);
}

/**
 * Predicts the classes' probabilities in every voxel [classes, D, H, W]. A window is read while the GPU
 * computes the next one, so GPU memory holds the probabilities of two windows beside one pass of the network.
 * Throws a NonFiniteError where probabilities are NaN or infinite.
 */
export function probabilities(device: Device, image: Image, options: WindowOptions): Promise<Float32Array> {
  return averaged(device, image, { ...options, network: (x) => softmax(options.network(x)) });
}

/**
 * Averages over overlapping windows the values that a network returns [classes, D, H, W]; memory and errors
 * as in probabilities().
 */
export async function averaged(device: Device, image: Image, options: WindowOptions): Promise<Float32Array> {
  const { window, classes, network, progress } = options;
  const { size, channels } = image;
  const axes = ([0, 1, 2] as const).map((axis) => axisWindows(size[axis], window[axis], options));
  const corners = windowCorners(size, window, options);
  const mirrors = options.mirror ? MIRRORS : MIRRORS.slice(0, 1);
  const tiles = mirrors.flatMap((mirror) =>
    corners.map((corner) => ({ mirror, corner: reflected(corner, size, window, mirror) })),
  );
  const sums = new Float32Array(classes * size[0] * size[1] * size[2]);
  const weights = axes.map(({ weights: along }) => along);
  let before: Promise<void> = Promise.resolve();
  for (const [i, tile] of tiles.entries()) {
    const patch = mirrored(cut(image, tile.corner, window), window, tile.mirror);
    const x = tensor(device, [1, channels, ...window], patch);
    const answer = scope(() => network(x));
    const read = answer.read();
    const add = async (): Promise<void> => {
      const values = mirrored(await read.finally(() => [x, answer].forEach(free)), window, tile.mirror);
      addWindow(sums, size, values, { window, corner: tile.corner, weights });
      progress?.(i + 1, tiles.length);
    };
    read.catch(() => undefined); // add() throws it, after any error of the window before
    await before.catch((error: unknown) => {
      [x, answer].forEach(free);
      throw error;
    });
    before = add();
    before.catch(() => undefined); // awaited when the next window has been submitted
  }
  await before;
  normalise(
    sums,
    size,
    axes.map(({ totals }) =>
      options.mirror ? totals.map((total, v) => total + totals.at(-1 - v)!) : totals,
    ),
  );
  return sums;
}

/**
 * The likeliest class of every voxel [D, H, W], the first of equals, from probabilities [classes, D, H, W].
 */
export function likeliest(sums: Float32Array, classes: number): Uint8Array {
  const voxels = sums.length / classes;
  const best = new Uint8Array(voxels);
  for (let v = 0; v < voxels; v++) {
    for (let c = 1; c < classes; c++) if (sums[c * voxels + v]! > sums[best[v]! * voxels + v]!) best[v] = c;
  }
  return best;
}

/** The corner, in the original volume, of a window of the mirrored volume. */
function reflected(corner: Vec3, size: Vec3, window: Vec3, mirror: Mirror): Vec3 {
  const [z, y, x] = corner.map((c, axis) => (mirror[axis] ? size[axis]! - window[axis]! - c : c));
  return [z!, y!, x!];
}

/** Cuts a window from every channel, with the background outside the volume. */
export function cut({ data, channels, size, background }: Image, corner: Vec3, window: Vec3): Float32Array {
  const inside = window[0] * window[1] * window[2];
  const voxels = size[0] * size[1] * size[2];
  const patch = new Float32Array(channels * inside);
  for (let m = 0; m < channels; m++) {
    const target = patch.subarray(m * inside, (m + 1) * inside);
    target.fill(background?.[m] ?? 0);
    const source = data.subarray(m * voxels, (m + 1) * voxels);
    eachRow(size, window, corner, (at, to, length) => target.set(source.subarray(at, at + length), to));
  }
  return patch;
}

interface Placed {
  window: Vec3;
  corner: Vec3;
  /** Weights by axis: a voxel's weight is the product of its three. */
  weights: readonly Float64Array[];
}

/** Adds a window's weighted values [classes, ...window] to the sums [classes, ...size]. */
function addWindow(sums: Float32Array, size: Vec3, values: Float32Array, place: Placed): void {
  const { window, corner, weights } = place;
  const [along, across, down] = weights as [Float64Array, Float64Array, Float64Array];
  const inside = window[0] * window[1] * window[2];
  const voxels = size[0] * size[1] * size[2];
  for (let c = 0; c * voxels < sums.length; c++) {
    const [sum, value] = [sums.subarray(c * voxels), values.subarray(c * inside)];
    eachRow(size, window, corner, (at, to, length, z, y, x) => {
      const row = along[z]! * across[y]!;
      for (let i = 0; i < length; i++) sum[at + i]! += row * down[x + i]! * value[to + i]!;
    });
  }
}

/** Divides the sums [classes, ...size] by the sum of weights, the product of the axes' `totals`. */
function normalise(sums: Float32Array, size: Vec3, totals: readonly Float64Array[]): void {
  const [depth, height, width] = size;
  const [along, across, down] = totals as [Float64Array, Float64Array, Float64Array];
  for (let row = 0, at = 0; at < sums.length; row++) {
    const weight = along[Math.floor(row / height) % depth]! * across[row % height]!;
    for (let x = 0; x < width; x++, at++) {
      const mean = sums[at]! / (weight * down[x]!);
      if (!Number.isFinite(mean)) {
        throw new NonFiniteError(
          "the network's output is NaN or infinite: its weights or the image's values are too large for float32",
        );
      }
      sums[at] = mean;
    }
  }
}
