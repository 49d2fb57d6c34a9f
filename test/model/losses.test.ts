// The losses of ProtoKD as a whole: the numeric fixture, which the authors' code and an independent
// restatement both give, and properties that hold for any numbers.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { classCounts, classWeights, commonClasses } from "../../engine/ops/classCounts.ts";
import { crossEntropy } from "../../engine/ops/crossEntropy.ts";
import { diceLoss } from "../../engine/ops/diceLoss.ts";
import { meanSquaredError } from "../../engine/ops/meanSquaredError.ts";
import { weightedSum } from "../../engine/ops/weightedSum.ts";
import { grad } from "../../engine/autograd/tape.ts";
import { keep, scope, type Tensor, tensor } from "../../engine/autograd/tensor.ts";
import {
  FEATURES,
  pixelKd,
  prototypeLoss,
  protokdTerms,
  segmentationTerms,
  type Terms,
  total,
} from "../../model/losses/losses.ts";
import type { BatchOutput } from "../../model/networks/parts.ts";
import { type Array64, check, close, device, random, randomLabels } from "../support/gradcheck.ts";
import * as reference from "../support/reference/losses.ts";

const upload = ({ shape, data }: Array64) => tensor(device, shape, data);

/** c · sin(a·i + b) of the flat index i. */
function sines(shape: number[], a: number, b: number, c: number): Array64 {
  const size = shape.reduce((product, n) => product * n, 1);
  return { shape, data: Float64Array.from({ length: size }, (_, i) => c * Math.sin(a * i + b)) };
}

function positive({ shape, data }: Array64): Array64 {
  return { shape, data: data.map((value) => Math.max(value, 0) + 0.05) };
}

const LABEL = [0, 0, 1, 2, 0, 3, 0, 1, 0, 0, 0, 0, 1, 2, 2, 1]; // class 3 is missing in the second sample
const fixture = {
  label: tensor(device, [2, 2, 2, 2], LABEL),
  student: {
    logits: upload(sines([2, 4, 2, 2, 2], 0.7, 0.1, 2)),
    features: upload(positive(sines([2, 3, 2, 2, 2], 0.9, 0.2, 1))),
  },
  teacher: {
    logits: upload(sines([2, 4, 2, 2, 2], 1.3, 0.5, 3)),
    features: upload(positive(sines([2, 3, 2, 2, 2], 1.1, 0.4, 1))),
  },
};

/** A network's output that has these logits and features. */
function output({ logits, features }: { logits: Tensor; features: Tensor }): BatchOutput {
  return { logits, taps: { [FEATURES]: [features] }, coarse: [] };
}

async function values(terms: Terms): Promise<Record<string, number>> {
  const entries = Object.entries(terms).map(
    async ([name, [, scalar]]) => [name, await scalar.item()] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

test("classes are counted, weighted by rarity, and common where every sample has them", async () => {
  const counts = classCounts(fixture.label, 4);
  assert.equal([...(await counts.read())], [4, 2, 1, 1, 4, 2, 2, 0]);
  assert.equal([...(await classWeights(counts).read())], [0.5, 0.75, 0.8125, 0.9375]);
  assert.equal([...(await commonClasses(counts).read())], [1, 1, 1, 0]);
});

test("counts are exact in volumes of many chunks, for any number of classes", async () => {
  const label = randomLabels([2, 33, 31, 29], 6);
  const want = Array(12).fill(0) as number[];
  label.data.forEach((k, i) => want[6 * Math.floor(i / (label.data.length / 2)) + k]!++);
  assert.equal([...(await classCounts(upload(label), 6).read())], want);
});

test("every term and the total have the fixture's values", async () => {
  const { student, teacher, label } = fixture;
  const terms = protokdTerms(output(student), output(teacher), label);
  const { dice, crossEntropy, kd, prototype, ...rest } = await values(terms);
  assert.equal(rest, {});
  close([dice!, crossEntropy!], [0.681813745, 1.889149285], 1e-6, "Dice and cross-entropy");
  close([kd!], [0.005874600866], 1e-6, "kd");
  close([prototype!], [0.09043966343], 1e-6, "prototype");
  close([await total(terms).item()], [2.638753005], 1e-6, "total");
  close([await total(segmentationTerms(student.logits, label)).item()], [2.57096303], 1e-6, "segmentation");
});

test("in Hinton's units kd is T² times the mean over voxels of the sum over classes", async () => {
  const { student, teacher, label } = fixture;
  for (const temperature of [10, 2]) {
    const weights = { kdWeight: 0.5, prototypeWeight: 0, temperature };
    const [published, hinton] = (["published", "hinton"] as const).map((kdUnits) =>
      protokdTerms(output(student), output(teacher), label, { ...weights, kdUnits }),
    );
    const [mean, sum] = [await values(published!), await values(hinton!)];
    close([sum["kd"]!], [temperature ** 2 * 4 * mean["kd"]!], 1e-6, `T ${temperature}`);
    assert.is(hinton!["kd"]![0], 0.5);
  }
});

test("the gradients of kd and prototype have the fixture's values", async () => {
  const { student, teacher, label } = fixture;
  const kd = grad([student.logits], () => pixelKd(student.logits, teacher.logits));
  const dlogits = await kd.grads[0]!.read();
  const wantLogits = [1.60922581e-5, 1.15435433e-4, -8.95759498e-5, -4.19517411e-5];
  close(
    [0, 8, 16, 24].map((i) => dlogits[i]!),
    wantLogits,
    2e-6,
    "gradient of kd",
  );
  const prototype = grad([student.features], () =>
    prototypeLoss(student.features, teacher.features, label, 4),
  );
  const dfeatures = await prototype.grads[0]!.read();
  close(
    [0, 8, 16].map((i) => dfeatures[i]!),
    [0.01187911, -0.00288706, -0.00127124],
    2e-6,
    "of prototype",
  );
});

test("a student that equals its teacher has no loss", async () => {
  const { student, label } = fixture;
  assert.is(await pixelKd(student.logits, student.logits).item(), 0);
  assert.is(await prototypeLoss(student.features, student.features, label, 4).item(), 0);
});

test("the prototype loss does not change when the student's features are scaled (but for eps)", async () => {
  const { student, teacher, label } = fixture;
  const features = await student.features.read();
  const loss = (t: Tensor) => prototypeLoss(t, teacher.features, label, 4).item();
  const want = await loss(student.features);
  for (const factor of [0.1, 37]) {
    close(
      [
        await loss(
          tensor(
            device,
            student.features.shape,
            features.map((v) => v * factor),
          ),
        ),
      ],
      [want],
      2e-6,
      `${factor}`,
    );
  }
});

test("a class that one sample lacks is skipped for the whole batch", async () => {
  const { student, teacher, label } = fixture;
  const maps = (t: Tensor) => prototypeLoss(t, teacher.features, label, 3); // classes 0, 1, 2 alone
  const want = await maps(student.features).item();
  close([await prototypeLoss(student.features, teacher.features, label, 4).item()], [want], 1e-6, "loss");
});

test("where no class is common the prototype loss is 0, and so is its gradient", async () => {
  const { student, teacher } = fixture;
  const label = tensor(device, [2, 2, 2, 2], [...Array(8).fill(0), ...Array(8).fill(1)]);
  const loss = () => prototypeLoss(student.features, teacher.features, label, 4);
  const { loss: value, grads } = grad([student.features], loss);
  assert.is(await value.item(), 0);
  assert.ok((await grads[0]!.read()).every((v) => v === 0));
});

test("a patch of one class only has cross-entropy 0, not NaN", async () => {
  const { student } = fixture;
  const label = tensor(device, [2, 2, 2, 2], Array(16).fill(0));
  const terms = segmentationTerms(student.logits, label);
  const { crossEntropy, dice } = await values(terms);
  assert.is(crossEntropy, 0);
  assert.ok(dice! > 0 && dice! < 1, `Dice ${dice}`);
});

test("the prototype loss and its gradient, through the prototypes too, agree with a float64 reference", async () => {
  const size = [2, 3, 4];
  await check({
    op: "prototypeLoss",
    name: "a batch of two",
    inputs: { student: positive(random([2, 3, ...size])) },
    constants: {
      teacher: positive(random([2, 3, ...size], { seed: 2 })),
      label: randomLabels([2, ...size], 4),
    },
    run: ({ student, teacher, label }) => prototypeLoss(student!, teacher!, label!, 4),
    reference: ({ student, teacher, label }) => {
      const maps = (f: Array64) => reference.cosineMaps(f, reference.prototypes(f, label!, 4));
      return reference.meanSquaredError(maps(student!), maps(teacher!));
    },
    step: 1e-5, // no value lies this near to the kink of the features
  });
});

test("terms of weight 0 are omitted, and need no teacher and no features", () => {
  const { student, teacher, label } = fixture;
  const weights = { kdWeight: 0, prototypeWeight: 0, temperature: 10 };
  const terms = protokdTerms(output(student), output(teacher), label, weights);
  assert.equal(Object.keys(terms), ["crossEntropy", "dice"]);
  const untapped = { logits: student.logits, taps: {}, coarse: [] };
  assert.equal(Object.keys(protokdTerms(untapped, null, label, weights)), ["crossEntropy", "dice"]);
});

test("a loss repeats bit for bit, and leaves no bytes behind", async () => {
  const size = [17, 18, 19];
  const label = upload(randomLabels([2, ...size], 4));
  const logits = upload(random([2, 4, ...size]));
  const features = upload(random([2, 3, ...size]));
  const student = output({ logits, features });
  const teacher = output({
    logits: upload(random([2, 4, ...size], { seed: 2 })),
    features: upload(random([2, 3, ...size], { seed: 3 })),
  });
  const step = () => grad([logits, features], () => total(protokdTerms(student, teacher, label)));
  const run = async () => {
    const { loss, grads } = step();
    return [...(await loss.read()), ...(await grads[0]!.read()), ...(await grads[1]!.read())];
  };
  const first = await run();
  assert.equal(await run(), first);
  const before = device.bytes;
  scope(() => void step());
  assert.is(device.bytes, before);
});

test("kept terms can be read after grad()", async () => {
  const { student, teacher, label } = fixture;
  let kept: Terms = {};
  const { loss } = grad([student.logits, student.features], () => {
    kept = protokdTerms(output(student), output(teacher), label);
    for (const [, scalar] of Object.values(kept)) keep(scalar);
    return total(kept);
  });
  const read = await values(kept);
  const sum = Object.entries(kept).reduce((s, [name, [weight]]) => s + weight * read[name]!, 0);
  close([await loss.item()], [sum], 1e-6, "total");
});

test("shapes that do not fit are refused by name", () => {
  const { student, label } = fixture;
  const short = tensor(device, [2, 2, 2, 1], Array(8).fill(0));
  const three = tensor(device, [3], [1, 1, 1]);
  assert.throws(
    () => diceLoss(student.logits, short),
    /diceLoss: expected a label \[2,2,2,2\].* got \[2,2,2,1\]/,
  );
  assert.throws(() => crossEntropy(student.logits, label, three), /crossEntropy: .* 4 classes, got \[3\]/);
  assert.throws(() => pixelKd(student.logits, student.features), /klDivergence: .* one shape/);
  assert.throws(() => meanSquaredError(student.logits, student.features), /meanSquaredError: .* one shape/);
  assert.throws(() => meanSquaredError(student.logits, student.logits, three), /one weight for each channel/);
  assert.throws(() => weightedSum([]), /weightedSum: expected at least one term, got none/);
  assert.throws(() => weightedSum([[1, three]]), /weightedSum: expected scalars, got \[3\]/);
  assert.throws(() => classCounts(label, 0), /positive number of classes, got 0/);
});

test.run();
