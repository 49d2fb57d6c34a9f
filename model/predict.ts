// Sliding-window inference: windows of the training patch's size, half overlapping, their softmax
// probabilities averaged with equal weights (the published evaluate.py; methods of ProtoKD).

import { free, scope, softmax, tensor, type Device, type Tensor } from "../engine/index.ts";
import type { Vec3 } from "./regions.ts";

/** An image of several channels on the host. */
export interface Image {
  /** [channels, D, H, W] */
  data: Float32Array;
  channels: number;
  size: Vec3;
  /** What lies outside the volume, by channel; zero by default. */
  background?: readonly number[];
}

export interface WindowOptions {
  window: Vec3;
  classes: number;
  /** Records the network on x [1, channels, ...window] and returns logits [1, classes, ...window]. */
  network: (x: Tensor) => Tensor;
  /** Called after each window. */
  progress?: (done: number, all: number) => void;
}

/** The likeliest class of every voxel, as [D, H, W]. A volume smaller than the window is padded around. */
export async function predict(device: Device, image: Image, options: WindowOptions): Promise<Uint8Array> {
  const { window, classes, network, progress } = options;
  const { size, channels } = image;
  const corners = windowCorners(size, window);
  const voxels = size[0] * size[1] * size[2];
  const inside = window[0] * window[1] * window[2];
  const sums = new Float32Array(classes * voxels);
  for (const [i, corner] of corners.entries()) {
    const x = tensor(device, [1, channels, ...window], cut(image, corner, window));
    const probabilities = scope(() => softmax(network(x)));
    const values = await probabilities.read();
    [x, probabilities].forEach(free);
    for (let c = 0; c < classes; c++) {
      addWindow(sums.subarray(c * voxels), size, values.subarray(c * inside), window, corner);
    }
    progress?.(i + 1, corners.length);
  }
  // Every class of a voxel was summed over the same windows: their number does not move the largest.
  return likeliest(sums, classes, voxels);
}

/** Where windows begin along all axes: half a window apart, the last flush with the end. */
export function windowCorners(size: Vec3, window: Vec3): Vec3[] {
  const axes = size.map((s, axis) => {
    const w = window[axis]!;
    if (s <= w) return [-((w - s) >> 1)]; // padded around
    const stride = Math.max(1, w >> 1);
    return Array.from({ length: Math.ceil((s - w) / stride) + 1 }, (_, i) => Math.min(i * stride, s - w));
  });
  const [zs, ys, xs] = axes as [number[], number[], number[]];
  return zs.flatMap((z) => ys.flatMap((y) => xs.map((x): Vec3 => [z, y, x])));
}

/** The window's part of every channel, filled up with the background outside the volume. */
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

function addWindow(sums: Float32Array, size: Vec3, values: Float32Array, window: Vec3, corner: Vec3): void {
  eachRow(size, window, corner, (at, to, length) => {
    for (let x = 0; x < length; x++) sums[at + x]! += values[to + x]!;
  });
}

/** Visits the rows that volume and window share: where each begins in the volume and in the window, its length. */
export function eachRow(
  size: Vec3,
  window: Vec3,
  corner: Vec3,
  visit: (at: number, to: number, length: number) => void,
) {
  const start = corner.map((c) => Math.max(0, -c)) as [number, number, number];
  const end = corner.map((c, axis) => Math.min(window[axis]!, size[axis]! - c)) as [number, number, number];
  for (let z = start[0]; z < end[0]; z++) {
    for (let y = start[1]; y < end[1]; y++) {
      const at = ((z + corner[0]) * size[1] + y + corner[1]) * size[2] + corner[2] + start[2];
      visit(at, (z * window[1] + y) * window[2] + start[2], end[2] - start[2]);
    }
  }
}

function likeliest(sums: Float32Array, classes: number, voxels: number): Uint8Array {
  const best = new Uint8Array(voxels);
  for (let v = 0; v < voxels; v++) {
    for (let c = 1; c < classes; c++) if (sums[c * voxels + v]! > sums[best[v]! * voxels + v]!) best[v] = c;
  }
  return best;
}
