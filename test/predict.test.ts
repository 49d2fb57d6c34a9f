// Sliding windows: where they begin, and that what they are pasted into is the network's own answer.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { conv3d, fill, keep, Random, type Tensor, tensor } from "../engine/index.ts";
import { type Image, predict, windowCorners, type WindowOptions } from "../model/predict.ts";
import type { Vec3 } from "../model/regions.ts";
import { device } from "./gradcheck.ts";

const CLASSES = 4;

function image(size: Vec3, { channels = 2, seed = 1 } = {}): Image {
  const random = new Random(seed);
  const data = Float32Array.from({ length: channels * size[0] * size[1] * size[2] }, () => random.normal());
  return { data, channels, size };
}

const weight = tensor(device, [CLASSES, 2, 1, 1, 1], [1, 0, -1, 0.5, 0.25, -1, -0.5, 1]);
const bias = tensor(device, [CLASSES], [0.1, 0, -0.2, 0]);

/** A network that looks at the voxel alone: a convolution of 1³. */
const voxelwise = (x: Tensor) => conv3d(x, weight, bias);

/** Its answer, without a GPU or a window. */
async function expected({ data, size }: Image): Promise<Uint8Array> {
  const [w, b] = [await weight.read(), await bias.read()];
  const voxels = size[0] * size[1] * size[2];
  return Uint8Array.from({ length: voxels }, (_, v) => {
    const logits = [0, 1, 2, 3].map((c) => w[2 * c]! * data[v]! + w[2 * c + 1]! * data[voxels + v]! + b[c]!);
    return logits.indexOf(Math.max(...logits));
  });
}

const run = (given: Image, window: Vec3, network = voxelwise, more: Partial<WindowOptions> = {}) =>
  predict(device, given, { window, classes: CLASSES, network, ...more });

test("on 140x192x192, windows of 96x128x128 begin where the published code lays them", () => {
  const corners = windowCorners([140, 192, 192], [96, 128, 128]);
  const axes = [
    [0, 44],
    [0, 64],
    [0, 64],
  ] as const;
  assert.equal(
    corners,
    axes[0].flatMap((z) => axes[1].flatMap((y) => axes[2].map((x) => [z, y, x]))),
  );
  assert.is(corners.length, 8);
});

test("windows are half a window apart, and the last is flush with the end", () => {
  const along = (size: number, window: number) => windowCorners([size, 1, 1], [window, 1, 1]).map(([z]) => z);
  assert.equal(along(8, 8), [0], "an exact fit");
  assert.equal(along(9, 8), [0, 1]);
  assert.equal(along(12, 8), [0, 4], "no window twice");
  assert.equal(along(13, 8), [0, 4, 5]);
  assert.equal(along(16, 8), [0, 4, 8]);
  assert.equal(along(7, 3), [0, 1, 2, 3, 4], "an odd window");
  assert.equal(along(3, 1), [0, 1, 2], "a window of one voxel");
});

test("along axes that are shorter than the window, it begins before the volume, which is centred in it", () => {
  assert.equal(windowCorners([4, 7, 20], [8, 8, 16]), [
    [-2, 0, 0],
    [-2, 0, 4],
  ]);
  assert.equal(windowCorners([5, 1, 1], [8, 8, 8]), [[-1, -3, -3]]);
});

test("every voxel lies in a window", () => {
  for (const [size, window] of [
    [11, 4],
    [30, 16],
    [5, 8],
    [17, 5],
  ] as const) {
    const starts = windowCorners([size, 1, 1], [window, 1, 1]).map(([z]) => z);
    for (let z = 0; z < size; z++) assert.ok(starts.some((start) => z >= start && z < start + window));
    if (size >= window) assert.ok(starts.every((start) => start >= 0 && start + window <= size));
  }
});

test("a network whose answer is always the same class gives that class everywhere", async () => {
  for (const chosen of [0, 3]) {
    const only = (x: Tensor) =>
      conv3d(
        x,
        fill(device, [CLASSES, 2, 1, 1, 1], 0),
        tensor(
          device,
          [CLASSES],
          [0, 1, 2, 3].map((c) => (c === chosen ? 1 : 0)),
        ),
      );
    const classes = await run(image([6, 5, 9]), [4, 4, 4], only);
    assert.equal(classes, new Uint8Array(6 * 5 * 9).fill(chosen));
  }
});

test("a network that looks at voxels alone is not disturbed by windows, their overlaps and borders", async () => {
  for (const [size, window] of [
    [
      [8, 8, 8],
      [8, 8, 8],
    ],
    [
      [7, 10, 13],
      [4, 4, 8],
    ],
    [
      [5, 6, 9],
      [3, 5, 2],
    ],
  ] as const) {
    const given = image(size);
    const classes = await run(given, window);
    assert.equal(classes, await expected(given), `${size} by ${window}`);
    assert.is(new Set(classes).size, CLASSES);
  }
});

test("a volume smaller than the window is padded around and comes back in its own size", async () => {
  for (const size of [
    [3, 5, 6],
    [1, 1, 1],
    [4, 3, 20],
  ] as const) {
    const given = image(size);
    assert.equal(await run(given, [8, 8, 8]), await expected(given), `${size}`);
  }
});

test("what lies around a small volume is its background, by channel, or else zero", async () => {
  for (const background of [undefined, [7, -3]]) {
    const seen: Tensor[] = [];
    const spy = (x: Tensor) => voxelwise((seen.push(copy(x)), x));
    const given: Image = { ...image([2, 1, 2]), ...(background && { background }) };
    await run(given, [2, 3, 4], spy);
    const { data } = given;
    const [a, b] = background ?? [0, 0];
    const padded = (o: number, outside: number) => {
      const row = (z: number) => [outside, data[o + 2 * z]!, data[o + 2 * z + 1]!, outside];
      const empty = Array(4).fill(outside) as number[];
      return [empty, row(0), empty, empty, row(1), empty].flat();
    };
    assert.equal([...(await seen[0]!.read())], [...padded(0, a!), ...padded(4, b!)]);
  }
});

test("the windows' probabilities are averaged, not their votes, nor their logits", async () => {
  /** The classes of six voxels of which two windows of four share the middle ones. */
  const classes = async (...windows: number[][]) => {
    const logits = () => windows.shift()!.flatMap((value) => Array(4).fill(value) as number[]);
    const network = () => tensor(device, [1, 4, 1, 1, 4], logits());
    return [...(await run(image([1, 1, 6]), [1, 1, 4], network))];
  };
  assert.equal(await classes([0, 0.1, 0, 0], [0, 0, 5, 0]), [1, 1, 2, 2, 2, 2], "the second is surer");
  assert.equal(await classes([0, 3, 0, 0], [0, -20, 0.1, 0]), [1, 1, 1, 1, 2, 2], "the first is surer");
});

test("progress is told after each window, and no bytes stay behind", async () => {
  const told: string[] = [];
  const before = device.bytes;
  await run(image([6, 4, 4]), [4, 4, 4], voxelwise, { progress: (done, all) => told.push(`${done}/${all}`) });
  assert.equal(told, ["1/2", "2/2"]);
  assert.is(device.bytes, before);
});

/** A tensor of the same values that outlives the scope. */
function copy(x: Tensor): Tensor {
  const y = keep(fill(device, x.shape, 0));
  device.copy(x.buffer, 0, y.buffer, 0, 4 * x.size);
  return y;
}

test.run();
