// Augmentation: every change of a patch compared with a simple reference, and nnU-Net's probabilities.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { AUGMENTATIONS, type Channel, NNUNET } from "../../data/sampling/augment.ts";
import {
  addNoise,
  blur,
  brighten,
  changeContrast,
  changeGamma,
  gaussian,
  lowerResolution,
  whiteNoise,
} from "../../data/sampling/augmentIntensity.ts";
import type { Vec3 } from "../../data/nifti/geometry.ts";
import { streamAt } from "../../data/sampling/streams.ts";
import { Random } from "../../engine/autograd/random.ts";
import { close } from "../support/fixtures.ts";

const test = suite("augment");
const CUBE: Vec3 = [1, 1, 1];
const noise = (count: number, seed: number) => whiteNoise(count, new Random(seed));
const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length;
const deviation = (values: ArrayLike<number>) => {
  const middle = mean(values);
  return Math.sqrt(mean(Array.from(values, (value) => (value - middle) ** 2)));
};

test("blurring a point gives the Gaussian, with sum 1; a constant stays the same", () => {
  const size: Vec3 = [11, 13, 15];
  const sigmas: Vec3 = [0.5, 0.8, 1];
  const point = new Float32Array(11 * 13 * 15);
  point[(5 * 13 + 6) * 15 + 7] = 1;
  blur(point, size, sigmas);
  close(mean(point) * point.length, 1, 1e-6);
  const kernel = (sigma: number, at: number, radius: number) => {
    const weights = Array.from({ length: 2 * radius + 1 }, (_, i) =>
      Math.exp(-((i - radius) ** 2) / (2 * sigma ** 2)),
    );
    return Math.abs(at) > radius ? 0 : weights[at + radius]! / weights.reduce((a, b) => a + b);
  };
  for (const [z, y, x] of [
    [5, 6, 7],
    [4, 6, 7],
    [5, 8, 7],
    [5, 6, 10],
    [6, 5, 6],
    [3, 6, 7],
  ] as const) {
    const expected = kernel(0.5, z - 5, 1) * kernel(0.8, y - 6, 2) * kernel(1, x - 7, 3);
    close(point[(z * 13 + y) * 15 + x]!, expected, 1e-7);
  }
  assert.equal(
    [0.5, 0.8, 1].map((sigma) => gaussian(sigma).length),
    [3, 5, 7],
  ); // nnU-Net's, as 6σ + 0.5 made odd
  const constant = new Float32Array(point.length).fill(3);
  blur(constant, size, [1, 1, 1]);
  for (const value of constant) close(value, 3, 1e-5);
  const thin = Float32Array.from([1, 2, 3]); // mirrored at its ends: 3 2 [1 2 3] 2 1
  blur(thin, [1, 3, 1], [1, 0.5, 1]);
  const [side, middle] = [...gaussian(0.5)] as [number, number];
  close(thin[0]!, middle + 4 * side, 1e-6);
  close(thin[1]!, 2, 1e-6);
});

test("noise has the given deviation, and mean 0", () => {
  const channel = new Float32Array(40_000).fill(2);
  addNoise(channel, noise(40_000, 3), 0.07);
  close(mean(channel), 2, 2e-3);
  close(deviation(channel), 0.07, 1e-3);
});

test("contrast keeps the mean and the range, and changes the deviation by its factor", () => {
  const before = noise(5000, 4);
  const less = before.slice();
  changeContrast(less, 0.75);
  close(mean(less), mean(before), 1e-5);
  close(deviation(less), 0.75 * deviation(before), 1e-5);
  const more = before.slice();
  changeContrast(more, 1.25);
  const [low, high] = [Math.min(...before), Math.max(...before)];
  assert.equal([Math.min(...more), Math.max(...more)], [low, high]);
  const m = mean(before);
  for (const i of [0, 1, 2, 999]) {
    close(more[i]!, Math.min(high, Math.max(low, m + 1.25 * (before[i]! - m))), 1e-5);
  }
});

test("gamma follows its formula, keeps mean and deviation, and is the identity at 1", () => {
  const before = noise(4000, 5);
  const [low, high] = [Math.min(...before), Math.max(...before)];
  for (const inverted of [false, true]) {
    const same = before.slice();
    changeGamma(same, 1, { inverted });
    for (const [i, value] of same.entries()) close(value, before[i]!, 1e-5);
    const changed = before.slice();
    changeGamma(changed, 1.4, { inverted });
    close(mean(changed), mean(before), 1e-4);
    close(deviation(changed), deviation(before), 1e-4);
    const sign = inverted ? -1 : 1; // upside down, to the power, and back
    const [bottom, range] = [inverted ? -high : low, high - low];
    const raw = Array.from(
      before,
      (value) => sign * (((sign * value - bottom) / range) ** 1.4 * range + bottom),
    );
    const [m, s] = [mean(raw), deviation(raw)];
    for (const i of [0, 7, 77, 777]) {
      close(changed[i]!, ((raw[i]! - m) / s) * deviation(before) + mean(before), 1e-4);
    }
  }
  const flat = new Float32Array(5).fill(2);
  changeGamma(flat, 0.8, { inverted: false });
  assert.equal([...flat], [2, 2, 2, 2, 2]);
});

test("brightness multiplies; a lower resolution keeps the nearest voxels and interpolates", () => {
  const channel = Float32Array.from([1, -2, 3]);
  brighten(channel, 1.2);
  for (const [i, value] of [1.2, -2.4, 3.6].entries()) close(channel[i]!, value, 1e-6);
  const same = noise(4 * 5 * 6, 6);
  const before = same.slice();
  lowerResolution(same, [4, 5, 6], 1);
  assert.equal(same, before);
  // Scale 0.5 keeps the voxels 1, 3, 5, 7 of 8; their centres lie at 0.5, 2.5, 4.5, 6.5.
  const line = Float32Array.from([9, 0, 9, 10, 9, 30, 9, 20]);
  lowerResolution(line, [1, 1, 8], 0.5);
  assert.equal([...line], [0, 2.5, 7.5, 15, 25, 27.5, 22.5, 20]);
  // A ramp along one axis of a volume becomes the same ramp in each of its lines.
  const ramp = Float32Array.from({ length: 6 * 8 * 4 }, (_, i) => Math.floor(i / 4) % 8);
  lowerResolution(ramp, [6, 8, 4], 0.5);
  const expected = [1, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7];
  for (const [i, value] of ramp.entries()) close(value, expected[Math.floor(i / 4) % 8]!, 1e-5);
});

test("rotations and scalings have nnU-Net's probabilities and ranges", () => {
  const [count, found] = [4000, { turned: 0, rotated: 0, scaled: 0 }];
  const scales: number[] = [];
  const tilts: number[] = [];
  for (let i = 0; i < count; i++) {
    const turn = AUGMENTATIONS.nnunet.turn(streamAt(1, i), CUBE);
    if (!turn) continue;
    found.turned++;
    const scale = Math.hypot(...turn[0]);
    if (Math.abs(scale - 1) > 1e-9) found.scaled++;
    if (Math.abs(turn[0][0] / scale - 1) > 1e-9) found.rotated++;
    scales.push(scale);
    tilts.push(Math.abs(Math.asin(turn[0][2]! / scale)));
  }
  close(found.turned / count, 1 - 0.8 ** 2, 0.03);
  close(found.rotated / count, NNUNET.rotation.share, 0.03);
  close(found.scaled / count, NNUNET.scaling.share, 0.03);
  assert.ok(Math.min(...scales) >= 0.7 && Math.min(...scales) < 0.72, `${Math.min(...scales)}`);
  assert.ok(Math.max(...scales) <= 1.4 && Math.max(...scales) > 1.38, `${Math.max(...scales)}`);
  assert.ok(Math.max(...tilts) <= Math.PI / 6 + 1e-9 && Math.max(...tilts) > 0.5, `${Math.max(...tilts)}`);
});

test("intensities change by channel, with nnU-Net's probabilities; the air around the brain stays", () => {
  const size: Vec3 = [6, 6, 6];
  const changed = [0, 0];
  let apart = 0;
  const count = 600;
  for (let i = 0; i < count; i++) {
    const channels = [0, 1].map((m): Channel => {
      const voxels = noise(216, 7 + m).fill(-1.5, 0, 40);
      return { voxels, background: -1.5, random: streamAt(2, i, m) };
    });
    const before = channels.map(({ voxels }) => voxels.slice());
    AUGMENTATIONS.nnunet.intensities({ size, channels }, streamAt(3, i));
    for (const [m, { voxels }] of channels.entries()) {
      assert.ok(voxels.subarray(0, 40).every((value) => value === -1.5));
      assert.ok(voxels.every(Number.isFinite));
      if (voxels.some((value, v) => value !== before[m]![v])) changed[m]!++;
    }
    const [first, second] = channels.map(({ voxels }, m) => voxels[100]! - before[m]![100]!);
    if (first && second && first !== second) apart++;
  }
  const { noise: n, blur: b, brightness, contrast, lowResolution: l, invertedGamma, gamma } = NNUNET;
  const untouched =
    [n, brightness, contrast, invertedGamma, gamma].reduce((p, { share }) => p * (1 - share), 1) *
    (1 - b.share * b.channel) *
    (1 - l.share * l.channel); // a scale that rounds to the whole size changes nothing: hence the width below
  for (const share of changed) close(share / count, 1 - untouched, 0.07);
  assert.ok(apart > count / 4, `${apart} of ${count} changed each channel in its own way`);
});

test.run();
