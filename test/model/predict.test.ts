// Sliding windows: their joint prediction is the network's own, weighed and mirrored.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { conv3d, fill, keep, Random, type Tensor, tensor } from "../../engine/index.ts";
import {
  type Image,
  NonFiniteError,
  predict,
  probabilities,
  type WindowOptions,
} from "../../model/inference/predict.ts";
import { MIRRORS, mirrored } from "../../model/inference/windows.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import { device } from "../support/gradcheck.ts";
import { failure } from "../support/quietly.ts";

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

test("constant probabilities come back as they are, however windows are laid, weighed and mirrored", async () => {
  const wanted = [0.1, 0.2, 0.3, 0.4];
  const logits = tensor(device, [CLASSES], wanted.map(Math.log));
  const constant = (x: Tensor) => conv3d(x, fill(device, [CLASSES, 2, 1, 1, 1], 0), logits);
  for (const more of [{}, { mirror: true }, { step: 0.3 }, { weighting: "uniform", mirror: true }] as const) {
    for (const size of [
      [7, 10, 13],
      [3, 5, 9],
    ] as const) {
      const options = { window: [4, 6, 8], classes: CLASSES, network: constant, ...more } as const;
      const found = await probabilities(device, image(size), options);
      const voxels = size[0] * size[1] * size[2];
      assert.is(found.length, CLASSES * voxels);
      for (const [i, value] of found.entries()) {
        const expected = wanted[Math.floor(i / voxels)]!;
        if (Math.abs(value / expected - 1) > 5e-6) assert.is(value, expected, JSON.stringify(more));
      }
    }
  }
});

test("with mirroring, the prediction of a turned volume is the turned prediction", async () => {
  const size = [7, 10, 13] as const;
  const given = image(size, { channels: 1 });
  const random = new Random(3);
  const kernel = tensor(
    device,
    [CLASSES, 1, 3, 3, 3],
    Array.from({ length: 27 * CLASSES }, () => random.normal()),
  );
  const none = fill(device, [CLASSES], 0);
  const lopsided = (x: Tensor) => conv3d(x, kernel, none, { padding: 1 });
  const run = (data: Float32Array, mirror: boolean) =>
    probabilities(
      device,
      { ...given, data },
      { window: [4, 6, 8], classes: CLASSES, network: lopsided, mirror },
    );
  const apart = (a: Float32Array, b: Float32Array) =>
    a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0);
  const [plain, averaged] = [await run(given.data, false), await run(given.data, true)];
  for (const mirror of [MIRRORS[1]!, MIRRORS[6]!]) {
    const turned = mirrored(given.data, size, mirror);
    assert.ok(apart(await run(turned, true), mirrored(averaged, size, mirror)) < 1e-6, `${mirror}`);
    assert.ok(
      apart(await run(turned, false), mirrored(plain, size, mirror)) > 0.01,
      "it is lopsided otherwise",
    );
  }
  const single = { ...given, size: [4, 6, 8] as const, data: given.data.slice(0, 192) };
  const options = { window: single.size, classes: CLASSES, network: lopsided };
  const mean = new Float32Array(CLASSES * 192);
  for (const mirror of MIRRORS) {
    const data = mirrored(single.data, single.size, mirror);
    const back = mirrored(await probabilities(device, { ...single, data }, options), single.size, mirror);
    back.forEach((value, i) => (mean[i]! += value / 8));
  }
  assert.ok(
    apart(await probabilities(device, single, { ...options, mirror: true }), mean) < 1e-6,
    "a mean of 8",
  );
});

test("a prediction of NaN is an error, not background", async () => {
  const broken = (x: Tensor) => conv3d(x, fill(device, [CLASSES, 2, 1, 1, 1], NaN), bias);
  const error = await run(image([4, 4, 9]), [4, 4, 4], broken).catch((thrown: unknown) => thrown);
  assert.instance(error, NonFiniteError);
});

test("windows, their overlaps and borders change nothing for a network that looks at single voxels", async () => {
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

test("a small volume is padded with its background, by channel, or else with zeros", async () => {
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
  /** The classes of six voxels: two windows of four share the middle ones. */
  const classes = async (...windows: number[][]) => {
    const logits = () => windows.shift()!.flatMap((value) => Array(4).fill(value) as number[]);
    const network = () => tensor(device, [1, 4, 1, 1, 4], logits());
    return [...(await run(image([1, 1, 6]), [1, 1, 4], network, { weighting: "uniform" }))];
  };
  assert.equal(await classes([0, 0.1, 0, 0], [0, 0, 5, 0]), [1, 1, 2, 2, 2, 2], "the second is surer");
  assert.equal(await classes([0, 3, 0, 0], [0, -20, 0.1, 0]), [1, 1, 1, 1, 2, 2], "the first is surer");
});

test("the nearer its middle, the more a window's probabilities count", async () => {
  const windows = [
    [0.7, 0.1, 0.1, 0.1],
    [0.1, 0.1, 0.2, 0.6],
  ];
  const answers = windows.map((values) =>
    values.flatMap((value) => Array(4).fill(Math.log(value)) as number[]),
  );
  const network = () => tensor(device, [1, 4, 1, 1, 4], answers.shift()!);
  const found = await probabilities(device, image([1, 1, 6]), {
    window: [1, 1, 4],
    classes: CLASSES,
    network,
  });
  const weight = (i: number) => (i < 0 || i > 3 ? 0 : Math.exp(-(((i - 1.5) / 0.5) ** 2) / 2));
  for (let c = 0; c < CLASSES; c++) {
    for (let x = 0; x < 6; x++) {
      const [a, b] = [weight(x), weight(x - 2)];
      const expected = (a * windows[0]![c]! + b * windows[1]![c]!) / (a + b);
      assert.ok(Math.abs(found[c * 6 + x]! - expected) < 1e-6);
    }
  }
});

test("progress is reported after each window, and no bytes stay behind", async () => {
  const told: string[] = [];
  const before = device.bytes;
  await run(image([6, 4, 4]), [4, 4, 4], voxelwise, { progress: (done, all) => told.push(`${done}/${all}`) });
  assert.equal(told, ["1/2", "2/2"]);
  assert.is(device.bytes, before);
});

test("a prediction that is stopped midway leaves no bytes behind either", async () => {
  const before = device.bytes;
  const cancelled = run(image([12, 4, 4]), [4, 4, 4], voxelwise, {
    progress: (done) => {
      if (done === 1) throw new Error("cancelled");
    },
  });
  assert.match(String(await failure(() => cancelled)), /cancelled/);
  assert.is(device.bytes, before);
});

/** A tensor of the same values that outlives the scope. */
function copy(x: Tensor): Tensor {
  const y = keep(fill(device, x.shape, 0));
  device.copy(x.buffer, 0, y.buffer, 0, 4 * x.size);
  return y;
}

test.run();
