// Turned and scaled patches, compared with permutations, linear fields and balls.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type Placement,
  pivot,
  takeImages,
  takeLabels,
  turning,
} from "../../data/sampling/augmentSpatial.ts";
import type { Vec3 } from "../../data/nifti/geometry.ts";
import { PatchSampler } from "../../data/sampling/patches.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import { Random } from "../../engine/autograd/random.ts";
import { take } from "../support/batches.ts";
import { close } from "../support/fixtures.ts";

const test = suite("augmentSpatial");
const CUBE: Vec3 = [1, 1, 1];
const none = [false, false, false] as const;

/** Returns standard normal values. */
function noise(count: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => random.normal());
}

/** Places a whole volume as a patch, turned about its pivot. */
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

test("a turn by 0 at scale 1 is a copy, also with mirrored axes and outside the volume", () => {
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
  assert.is(ball.filter((value) => value !== 2 && value !== 0).length, 0, "no new class");
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

test("between classes a turned label has the class with the most weight, of equal ones the lowest", () => {
  const size: Vec3 = [1, 1, 4];
  const label = Uint8Array.from([3, 3, 1, 1]);
  const at = (shift: number) => {
    const out = new Uint8Array(1); // one voxel, the pivot, moved by a fractional corner
    takeLabels(label, size, out, [1, 1, 1], {
      corner: [0, 0, 1 + shift],
      flip: none,
      turn: turning([0, 0, 0], 1, CUBE),
    });
    return out[0];
  };
  assert.equal([at(0), at(0.4), at(0.5), at(0.6)], [3, 3, 1, 1]);
});

test("a turned patch has no empty corners inside the volume, and background outside it", async () => {
  const size: Vec3 = [40, 40, 40];
  const voxels = 40 ** 3;
  const source = { size, offset: [0, 0, 0] as Vec3, spacing: CUBE, header: new Uint8Array(352) };
  const volume: Case = {
    id: "a",
    size,
    channels: ["t1"],
    source,
    convention: "brats",
    images: new Float32Array(voxels).fill(1),
    label: new Uint8Array(voxels),
    background: [-3],
  };
  volume.label![20 * 1640 + 20] = 1; // in the middle: turned patches of 12 stay in the volume
  const options = {
    patch: [12, 12, 12] as Vec3,
    batch: 1,
    seed: 6,
    foreground: 1,
    augment: "nnunet",
  } as const;
  const inner = new PatchSampler([volume], options);
  for (const { images } of await take(inner, 60)) assert.ok(images.every((value) => value > 0.5));
  const edge: Case = { ...volume, label: new Uint8Array(voxels).fill(1, 0, 1) };
  const outer = new PatchSampler([edge], options);
  const values = new Set((await take(outer, 60)).map(({ images }) => images[0]!));
  assert.ok(values.has(-3), "a turned patch about the volume's corner shows the background beyond");
});

test.run();
