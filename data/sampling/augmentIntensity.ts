// Changes of a patch's intensities. Each function changes one channel [D, H, W] in place, with random numbers
// drawn by the caller. The formulas are nnU-Net's (batchgeneratorsv2).

import type { Random } from "../../engine/autograd/random.ts";
import type { Vec3 } from "../nifti/geometry.ts";

/** Returns standard normal noise for this number of voxels. */
export function whiteNoise(voxels: number, random: Random): Float32Array {
  const noise = new Float32Array(voxels);
  for (let i = 0; i < voxels; i++) noise[i] = random.normal();
  return noise;
}

/** Adds noise of the given deviation; `noise` is standard normal. */
export function addNoise(channel: Float32Array, noise: Float32Array, deviation: number): void {
  for (let i = 0; i < channel.length; i++) channel[i] = channel[i]! + deviation * noise[i]!;
}

/** Multiplies by `factor`. */
export function brighten(channel: Float32Array, factor: number): void {
  for (let i = 0; i < channel.length; i++) channel[i] = channel[i]! * factor;
}

/** Multiplies the distance from the mean by `factor`, and clips to the channel's original range. */
export function changeContrast(channel: Float32Array, factor: number): void {
  const { mean, low, high } = statistics(channel);
  for (let i = 0; i < channel.length; i++) {
    channel[i] = Math.min(high, Math.max(low, mean + factor * (channel[i]! - mean)));
  }
}

/**
 * Scales intensities to 0 ... 1 (to 1 ... 0 if `inverted`), raises them to the power `gamma`, and restores
 * mean and deviation. A channel with one value stays the same.
 */
export function changeGamma(channel: Float32Array, gamma: number, { inverted }: { inverted: boolean }): void {
  const { mean, deviation, low, high } = statistics(channel);
  if (high === low) return;
  const range = high - low;
  for (let i = 0; i < channel.length; i++) {
    const share = inverted ? (high - channel[i]!) / range : (channel[i]! - low) / range;
    channel[i] = inverted ? high - range * share ** gamma : low + range * share ** gamma;
  }
  const now = statistics(channel);
  const scale = deviation / Math.max(now.deviation, 1e-7);
  for (let i = 0; i < channel.length; i++) channel[i] = (channel[i]! - now.mean) * scale + mean;
}

/** Blurs with a Gaussian with one deviation (in voxels) per axis; the volume is mirrored at its border. */
export function blur(channel: Float32Array, size: Vec3, deviations: Vec3): void {
  for (const [axis, deviation] of deviations.entries()) {
    const kernel = gaussian(deviation);
    const radius = (kernel.length - 1) / 2;
    const length = size[axis]!;
    const inner = size.slice(axis + 1).reduce((a, b) => a * b, 1); // stride along the axis
    const block = length * inner;
    const padded = new Float32Array(block + 2 * radius * inner);
    for (let start = 0; start < channel.length; start += block) {
      for (let i = -radius, at = 0; i < length + radius; i++) {
        const from = start + mirrored(i, length) * inner;
        for (let j = 0; j < inner; j++) padded[at++] = channel[from + j]!;
      }
      channel.fill(0, start, start + block);
      for (let k = 0; k < kernel.length; k++) {
        const [weight, shift] = [kernel[k]!, k * inner];
        for (let j = 0; j < block; j++)
          channel[start + j] = channel[start + j]! + weight * padded[j + shift]!;
      }
    }
  }
}

/** Returns a Gaussian's weights, with sum 1: about three deviations to either side, as many as in nnU-Net. */
export function gaussian(deviation: number): Float64Array {
  const radius = Math.round(3 * deviation - 0.25);
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-0.5 * ((i - radius) / deviation) ** 2),
  );
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/**
 * Simulates a lower resolution: keeps a share `scale` of the voxels along each axis and interpolates the
 * others.
 */
export function lowerResolution(channel: Float32Array, size: Vec3, scale: number): void {
  const small = size.map((length) => Math.max(1, Math.round(length * scale))) as [number, number, number];
  const kept = size.map((length, axis) =>
    Array.from({ length: small[axis]! }, (_, i) => Math.floor(((i + 0.5) * length) / small[axis]!)),
  );
  const [, height, width] = size;
  const values = new Float32Array(small[0] * small[1] * small[2]);
  let at = 0;
  for (const z of kept[0]!) {
    for (const y of kept[1]!) {
      for (const x of kept[2]!) values[at++] = channel[(z * height + y) * width + x]!;
    }
  }
  const [planes, rows, columns] = size.map((length, axis) => neighbours(length, small[axis]!)) as [
    Neighbour[],
    Neighbour[],
    Neighbour[],
  ];
  const row = new Float64Array(small[2]);
  at = 0;
  for (const plane of planes) {
    for (const line of rows) {
      for (let x = 0; x < small[2]; x++) {
        const value = (z: number, y: number) => values[(z * small[1] + y) * small[2] + x]!;
        const near = value(plane.low, line.low) * (1 - line.share) + value(plane.low, line.high) * line.share;
        const far =
          value(plane.high, line.low) * (1 - line.share) + value(plane.high, line.high) * line.share;
        row[x] = near * (1 - plane.share) + far * plane.share;
      }
      for (const { low, high, share } of columns) {
        channel[at++] = row[low]! * (1 - share) + row[high]! * share;
      }
    }
  }
}

interface Neighbour {
  low: number;
  high: number;
  share: number; // weight of `high`
}

/**
 * Returns, for each of `length` voxels, the two of `count` evenly spaced samples that its centre lies
 * between.
 */
function neighbours(length: number, count: number): Neighbour[] {
  return Array.from({ length }, (_, i) => {
    const place = Math.min(count - 1, Math.max(0, ((i + 0.5) * count) / length - 0.5));
    const low = Math.floor(place);
    return { low, high: Math.min(count - 1, low + 1), share: place - low };
  });
}

/** Mirrors the index `at` at the centres of the first and last voxel, into 0 ... length-1. */
function mirrored(at: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const place = ((at % period) + period) % period;
  return Math.min(place, period - place);
}

/** Returns mean, population deviation and range. */
function statistics(values: Float32Array): { mean: number; deviation: number; low: number; high: number } {
  let sum = 0;
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    sum += value;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const mean = sum / values.length;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i]! - mean) * (values[i]! - mean);
  return { mean, deviation: Math.sqrt(squares / values.length), low, high };
}
