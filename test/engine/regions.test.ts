// The constant targets that a teacher's logits and a label give, and the losses where a student agrees with
// its teacher.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { binaryLosses } from "../../engine/ops/binaryLosses.ts";
import { featureDivergence } from "../../engine/ops/featureDivergence.ts";
import { likeliestClasses } from "../../engine/ops/likeliestClasses.ts";
import {
  regionLogits,
  regionMasks,
  regionProbabilities,
  regionsPresent,
} from "../../engine/ops/regionLogits.ts";
import { regionScores } from "../../engine/ops/regionScores.ts";
import { sigmoid } from "../../engine/ops/activations.ts";
import { grad } from "../../engine/autograd/tape.ts";
import { type Tensor, tensor } from "../../engine/autograd/tensor.ts";
import { TUMOUR } from "../support/cases/regions.ts";
import { openDevice } from "../../cli/device/gpu.ts";
import { type Array64, close, device, random, randomLabels, TOLERANCE } from "../support/gradcheck.ts";
import * as presence from "../support/reference/presence.ts";
import * as reference from "../support/reference/regions.ts";

const narrow = await openDevice({ widest: 2 });
const upload = ({ shape, data }: Array64, on = device) => tensor(on, shape, data);
const SHAPES = {
  "one voxel": [1, 4, 1, 1, 1],
  "a batch of odd sizes": [3, 5, 3, 5, 7],
  "40 classes": [2, 40, 3, 5, 7],
};
const [TEMPERATURE, MANY] = [5, [[31, 32], [39], [5, 1], [0]]];

for (const [name, shape] of Object.entries(SHAPES)) {
  const classes = shape[1]!;
  const regions = classes === 40 ? MANY : TUMOUR;

  for (const [width, on] of Object.entries({ "": device, ", two workgroups wide": narrow })) {
    test(`regionProbabilities, ${name}${width}: the sigmoid of the cooled logits`, async () => {
      const logits = random(shape, { scale: 8 });
      const got = regionProbabilities(upload(logits, on), regions, TEMPERATURE);
      const want = reference.regionProbabilities(logits, regions, TEMPERATURE);
      assert.equal(got.shape, want.shape);
      close(await got.read(), want.data, TOLERANCE, "value");
    });

    test(`likeliestClasses, ${name}${width}: the first of the largest logits`, async () => {
      const drawn = random(shape, { scale: 8 });
      const logits = { shape, data: drawn.data.map((x) => Math.round(x)) }; // some are equal
      const got = likeliestClasses(upload(logits, on));
      const want = reference.likeliestClasses(logits);
      assert.equal(got.shape, want.shape);
      assert.equal([...(await got.read())], [...want.data]);
    });

    test(`regionMasks, ${name}${width}: 1 in a region, else 0`, async () => {
      const label = randomLabels([shape[0]!, ...shape.slice(2)], classes);
      const got = regionMasks(upload(label, on), regions, classes);
      const want = reference.regionMasks(label, regions);
      assert.equal(got.shape, want.shape);
      assert.equal([...(await got.read())], [...want.data]);
    });
  }
}

for (const [width, on] of Object.entries({ "": device, ", two workgroups wide": narrow })) {
  test(`regionsPresent${width}: 1 where a sample has a voxel of a class of the region`, async () => {
    for (const classes of [4, 40]) {
      const regions = classes === 40 ? MANY : TUMOUR;
      const counts = random([67, classes]).data.map((x) => Math.max(0, Math.round(x - 1.2)));
      const got = regionsPresent(tensor(on, [67, classes], counts), regions);
      const rows = Array.from({ length: 67 }, (_, n) => counts.subarray(n * classes, (n + 1) * classes));
      const want = rows.flatMap((row) => regions.map((region) => Number(region.some((c) => row[c]! > 0))));
      assert.equal(got.shape, [67, regions.length]);
      assert.equal([...(await got.read())], want);
    }
  });
}

test("regionScores, evidence whose exponentials overflow", async () => {
  for (const shape of [
    [201, 2],
    [201, 40],
  ]) {
    const [c, d] = [random(shape, { seed: 3, scale: 90 }), random(shape, { seed: 5, scale: 90 })];
    d.data[50 * shape[1]!]! += 1000; // the largest, which no thread of the first two thirds has
    const want = presence.regionScores(c, d, 1, 1);
    close(await regionScores(upload(c), upload(d), 1).read(), want.data, 1e-5, "value");
  }
});

test("regionProbabilities, without a temperature: what the softmax says of each region", async () => {
  const logits = random([2, 4, 1, 3, 5], { scale: 3 });
  const [own, other] = [
    regionProbabilities(upload(logits), TUMOUR),
    sigmoid(regionLogits(upload(logits), TUMOUR)),
  ];
  close(await own.read(), await other.read(), 1e-6, "value");
});

test("regionProbabilities, of logits that a loss depends on: a constant", () => {
  const logits = upload(random([1, 4, 1, 2, 3]));
  const targets = upload(random([1, 3, 1, 2, 3]));
  assert.throws(
    () => grad([logits], () => binaryLosses(regionProbabilities(logits, TUMOUR), targets).crossEntropy),
    /does not depend on parameter 0/,
  );
});

/** A loss and its gradient. */
async function slopes(x: Tensor, loss: () => Tensor): Promise<{ value: number; gradient: number[] }> {
  const { loss: value, grads } = grad([x], loss);
  return { value: await value.item(), gradient: [...(await grads[0]!.read())] };
}

test("a student that agrees with its teacher has no Dice loss, divergence or gradient", async () => {
  const shape = [2, 4, 3, 17, 101];
  const [student, teacher] = [0, 1].map(() => upload(random(shape, { scale: 4 }))) as [Tensor, Tensor];
  const targets = regionProbabilities(teacher, TUMOUR, TEMPERATURE);
  const losses = () => binaryLosses(regionLogits(student, TUMOUR), targets, { temperature: TEMPERATURE });
  const rounding = 1e-7 / targets.size; // a target near 1 has that many digits
  const small = ({ gradient }: { gradient: number[] }) =>
    gradient.every((slope) => Math.abs(slope) < rounding);
  const dice = await slopes(student, () => losses().dice);
  assert.ok(dice.value < 1e-14 && small(dice));
  assert.ok(small(await slopes(student, () => losses().crossEntropy)));
  const features = await slopes(student, () => featureDivergence(student, teacher));
  assert.is(features.value, 0);
  assert.ok(features.gradient.every((slope) => slope === 0));
});

test("binaryLosses, by default: temperature 1, smoothed by 1e-5", async () => {
  const [logits, targets] = [random([1, 2, 1, 1, 2]), { shape: [1, 2, 1, 1, 2], data: [0, 0, 0, 1] }];
  const run = (options?: Parameters<typeof binaryLosses>[2]) =>
    binaryLosses(upload(logits), tensor(device, targets.shape, targets.data), options);
  const read = async ({ crossEntropy, dice }: ReturnType<typeof run>) => [
    await crossEntropy.item(),
    await dice.item(),
  ];
  assert.equal(await read(run()), await read(run({ temperature: 1, smooth: 1e-5 })));
  assert.not.equal(await read(run()), await read(run({ smooth: 1e-4 })));
});

test("binaryLosses, of a prediction by itself: log(1 + exp(-x)), however sure", async () => {
  for (const x of [0, 1e-3, 0.05, 0.2, 0.5, 1, 3, 9, 20]) {
    const [logit, yes] = [tensor(device, [1, 1], [x]), tensor(device, [1, 1], [1])];
    const loss = await binaryLosses(logit, yes).crossEntropy.item();
    close([loss], [Math.log1p(Math.exp(-Math.fround(x)))], x < 1 ? 1e-6 : TOLERANCE, `${x}`);
  }
});

test("binaryLosses, of a matrix [N,K]: times K, the sum over K of the mean over N", async () => {
  const [logits, targets] = [random([3, 5]), { shape: [3, 5], data: randomLabels([3, 5], 2).data }];
  const got = 5 * (await binaryLosses(upload(logits), upload(targets)).crossEntropy.item());
  const each = [...logits.data].map((x, i) => Math.log1p(Math.exp(x)) - x * targets.data[i]!);
  close([got], [each.reduce((a, b) => a + b) / 3], TOLERANCE, "value");
});

test.after(() => narrow.gpu.destroy());

test.run();
