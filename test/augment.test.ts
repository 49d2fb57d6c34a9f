// Augmentation: every change of a patch against a simple reference of its own, and nnU-Net's probabilities.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { AUGMENTATIONS, type Channel, NNUNET } from "../data/augment.ts";
import { addNoise, blur, brighten, changeContrast, changeGamma } from "../data/augmentIntensity.ts";
import { gaussian, lowerResolution, whiteNoise } from "../data/augmentIntensity.ts";
import { type Placement, pivot, takeImages, takeLabels, turning } from "../data/augmentSpatial.ts";
import type { Vec3 } from "../data/geometry.ts";
import { PatchSampler } from "../data/patches.ts";
import type { Case } from "../data/preprocess.ts";
import { streamAt } from "../data/streams.ts";
import { Random } from "../engine/random.ts";

const test = suite("augment");
const CUBE: Vec3 = [1, 1, 1];
const none = [false, false, false] as const;
const noise = (count: number, seed: number) => whiteNoise(count, new Random(seed));
const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length;
const deviation = (values: ArrayLike<number>) => {
  const middle = mean(values);
  return Math.sqrt(mean(Array.from(values, (value) => (value - middle) ** 2)));
};
const close = (a: number, b: number, within: number) => {
  if (!(Math.abs(a - b) <= within)) assert.unreachable(`${a} is not within ${within} of ${b}`);
};

/** The whole of a volume as a patch, turned about its pivot. */
function whole(turn: Placement["turn"]): Placement {
  return { corner: [0, 0, 0], flip: none, turn };
}

test("a turn by 90 degrees about each axis is the permutation of voxels, in images and labels", () => {
  const n = 7;
  const [half, voxels] = [(n - 1) / 2, n ** 3];
  const images = noise(2 * voxels, 1);
  const label = Uint8Array.from({ length: voxels }, (_, i) => (i * 7) % 4);
  const index = (z: number, y: number, x: number) => ((z + half) * n + y + half) * n + x + half;
  const from = [
    (z: number, y: number, x: number) => index(z, -x, y), // about D, H towards W
    (z: number, y: number, x: number) => index(x, y, -z), // about H, W towards D
    (z: number, y: number, x: number) => index(-y, z, x), // about W, D towards H
  ];
  for (const [axis, source] of from.entries()) {
    const angles = [0, 0, 0];
    angles[axis] = Math.PI / 2;
    const place = whole(turning(angles as unknown as Vec3, 1, CUBE));
    const [turned, classes] = [new Float32Array(2 * voxels), new Uint8Array(voxels)];
    takeImages({ size: [n, n, n], images }, turned, [n, n, n], place);
    takeLabels(label, [n, n, n], classes, [n, n, n], place);
    for (let z = -half; z <= half; z++) {
      for (let y = -half; y <= half; y++) {
        for (let x = -half; x <= half; x++) {
          const [to, at] = [index(z, y, x), source(z, y, x)];
          close(turned[to]!, images[at]!, 1e-6);
          close(turned[voxels + to]!, images[voxels + at]!, 1e-6);
          assert.is(classes[to], label[at]);
        }
      }
    }
  }
});

test("a turn by nothing at scale 1 is the copy, mirrored axes and the surroundings included", () => {
  const [size, patch]: [Vec3, Vec3] = [
    [5, 6, 7],
    [4, 9, 3],
  ];
  const volume = { size, images: noise(2 * 210, 2), background: [-5, 7] };
  const label = Uint8Array.from({ length: 210 }, (_, i) => i % 4);
  for (const flip of [none, [true, false, true], [false, true, false]] as const) {
    const place = { corner: [1, -2, 4] as Vec3, flip };
    const take = (turn: Placement["turn"]) => {
      const [images, classes] = [new Float32Array(2 * 108).fill(NaN), new Uint8Array(108).fill(9)];
      takeImages(volume, images, patch, { ...place, turn });
      takeLabels(label, size, classes, patch, { ...place, turn });
      return { images, classes };
    };
    assert.equal(take(turning([0, 0, 0], 1, [2, 1, 3])), take(null));
    assert.ok(take(null).images.includes(-5) && take(null).images.includes(7));
  }
});

test("turned and scaled images follow a linear field exactly, and labels of a ball keep its volume", () => {
  const [size, patch]: [Vec3, Vec3] = [
    [40, 42, 44],
    [12, 10, 14],
  ];
  const field = (z: number, y: number, x: number) => 3 + 0.5 * z - 2 * y + 0.25 * x;
  const images = new Float32Array(40 * 42 * 44);
  const label = new Uint8Array(images.length);
  const centre = [14 + 6, 15 + 5, 16 + 7] as const; // the pivot of a patch at 14, 15, 16
  for (let z = 0, i = 0; z < 40; z++) {
    for (let y = 0; y < 42; y++) {
      for (let x = 0; x < 44; x++, i++) {
        images[i] = field(z, y, x);
        label[i] = Math.hypot(z - centre[0], y - centre[1], x - centre[2]) < 6 ? 2 : 0;
      }
    }
  }
  const [angle, scale] = [0.4, 0.8];
  const place: Placement = { corner: [14, 15, 16], flip: none, turn: turning([angle, 0, 0], scale, CUBE) };
  const turned = new Float32Array(12 * 10 * 14);
  takeImages({ size, images }, turned, patch, place);
  const [cz, cy, cx] = pivot(patch);
  for (let z = 0, i = 0; z < 12; z++) {
    for (let y = 0; y < 10; y++) {
      for (let x = 0; x < 14; x++, i++) {
        const [dz, dy, dx] = [scale * (z - cz!), scale * (y - cy!), scale * (x - cx!)];
        const across = Math.cos(angle) * dy - Math.sin(angle) * dx;
        const along = Math.sin(angle) * dy + Math.cos(angle) * dx;
        close(turned[i]!, field(centre[0] + dz, centre[1] + across, centre[2] + along), 1e-5);
      }
    }
  }
  const big: Vec3 = [24, 24, 24];
  const ball = new Uint8Array(24 ** 3);
  const around = centre.map((at) => at - 12) as unknown as Vec3;
  takeLabels(label, size, ball, big, {
    corner: around,
    flip: none,
    turn: turning([0.3, 0.2, 0.5], scale, CUBE),
  });
  const expected = ((4 / 3) * Math.PI * 6 ** 3) / scale ** 3;
  close(ball.filter((value) => value === 2).length, expected, 0.04 * expected);
  assert.is(ball.filter((value) => value !== 2 && value !== 0).length, 0, "no class that was not there");
});

test("a turn is rigid in millimetres, whatever the spacing", () => {
  const spacing: Vec3 = [3, 1, 0.5];
  const turn = turning([0.3, -0.7, 1.1], 1, spacing);
  const random = new Random(8);
  for (let i = 0; i < 10; i++) {
    const step = [random.normal(), random.normal(), random.normal()];
    const moved = turn.map((row) => row[0] * step[0]! + row[1] * step[1]! + row[2] * step[2]!);
    const length = (values: number[]) => Math.hypot(...values.map((value, axis) => value * spacing[axis]!));
    close(length(moved), length(step), 1e-12);
  }
});

test("where classes meet a turned label is the class that weighs most, the lowest of several", () => {
  const size: Vec3 = [1, 1, 4];
  const label = Uint8Array.from([3, 3, 1, 1]);
  const at = (shift: number) => {
    const out = new Uint8Array(1); // one voxel: the pivot; moved by a corner that is no integer
    takeLabels(label, size, out, [1, 1, 1], {
      corner: [0, 0, 1 + shift],
      flip: none,
      turn: turning([0, 0, 0], 1, CUBE),
    });
    return out[0];
  };
  assert.equal([at(0), at(0.4), at(0.5), at(0.6)], [3, 3, 1, 1]);
});

test("blurring a point gives the Gaussian, which adds up to 1, and leaves a constant alone", () => {
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

test("noise has the deviation that was drawn, and mean 0", () => {
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

test("brightness multiplies; a lower resolution keeps the nearest voxels and interpolates between", () => {
  const channel = Float32Array.from([1, -2, 3]);
  brighten(channel, 1.2);
  for (const [i, value] of [1.2, -2.4, 3.6].entries()) close(channel[i]!, value, 1e-6);
  const same = noise(4 * 5 * 6, 6);
  const before = same.slice();
  lowerResolution(same, [4, 5, 6], 1);
  assert.equal(same, before);
  // Of 8 voxels the kept ones of scale 0.5 are 1, 3, 5, 7; their centres lie at 0.5, 2.5, 4.5, 6.5.
  const line = Float32Array.from([9, 0, 9, 10, 9, 30, 9, 20]);
  lowerResolution(line, [1, 1, 8], 0.5);
  assert.equal([...line], [0, 2.5, 7.5, 15, 25, 27.5, 22.5, 20]);
  // A ramp along one axis of a volume becomes the same ramp in each of its lines.
  const ramp = Float32Array.from({ length: 6 * 8 * 4 }, (_, i) => Math.floor(i / 4) % 8);
  lowerResolution(ramp, [6, 8, 4], 0.5);
  const expected = [1, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7];
  for (const [i, value] of ramp.entries()) close(value, expected[Math.floor(i / 4) % 8]!, 1e-5);
});

test("rotations and scalings come as often, and as far, as nnU-Net's", () => {
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

test("intensities change channel by channel, as often as nnU-Net's; the air around the brain stays as it was", () => {
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

test("a turned patch has no empty corners where the volume goes on, and background where it ends", () => {
  const size: Vec3 = [40, 40, 40];
  const voxels = 40 ** 3;
  const source = { size, offset: [0, 0, 0] as Vec3, spacing: CUBE, header: new Uint8Array(352) };
  const volume: Case = {
    ...{ id: "a", size, channels: ["t1"], source, convention: "brats" },
    images: new Float32Array(voxels).fill(1),
    label: new Uint8Array(voxels),
    background: [-3],
  };
  volume.label![20 * 1640 + 20] = 1; // in the middle, where patches of 12 are turned without leaving the volume
  const options = {
    patch: [12, 12, 12] as Vec3,
    batch: 1,
    seed: 6,
    foreground: 1,
    augment: "nnunet",
  } as const;
  const inner = new PatchSampler([volume], options);
  for (let i = 0; i < 60; i++) assert.ok(inner.next().images.every((value) => value > 0.5));
  const edge: Case = { ...volume, label: new Uint8Array(voxels).fill(1, 0, 1) };
  const outer = new PatchSampler([edge], options);
  const values = new Set(Array.from({ length: 60 }, () => outer.next().images[0]!));
  assert.ok(values.has(-3), "a turned patch about the volume's corner shows the background beyond");
});

test.run();
