// The losses of PMKL where the teacher has nothing to teach, and where rows are the same.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { contrastiveLoss } from "../../engine/ops/contrastiveLoss.ts";
import { maskedSoftCrossEntropy } from "../../engine/ops/maskedSoftCrossEntropy.ts";
import { normaliseRows } from "../../engine/ops/normaliseRows.ts";
import { grad } from "../../engine/autograd/tape.ts";
import { type Tensor, tensor } from "../../engine/autograd/tensor.ts";
import { device, random, randomLabels } from "../support/gradcheck.ts";

const SHAPE = [2, 4, 3, 5, 7];
const upload = (shape: readonly number[], options = {}): Tensor =>
  tensor(device, shape, random(shape, options).data);
const label = tensor(device, [2, 3, 5, 7], randomLabels([2, 3, 5, 7], 4).data);

/** A loss and its gradient. */
async function slopes(x: Tensor, loss: () => Tensor): Promise<{ value: number; gradient: number[] }> {
  const { loss: value, grads } = grad([x], loss);
  return { value: await value.item(), gradient: [...(await grads[0]!.read())] };
}

test("maskedSoftCrossEntropy of a teacher that is nowhere better is exactly 0, with no gradient", async () => {
  const { data } = random(SHAPE, { scale: 2 });
  const softer = tensor(
    device,
    SHAPE,
    data.map((x) => x / 4),
  ); // the same classes, less surely
  const student = tensor(device, SHAPE, data);
  const right = tensor(device, [2, 3, 5, 7], largestOf(data));
  for (const [teacher, truth] of [
    [student, label],
    [softer, right],
  ] as const) {
    const { value, gradient } = await slopes(student, () => maskedSoftCrossEntropy(student, teacher, truth));
    assert.is(value, 0);
    assert.ok(gradient.every((slope) => slope === 0));
  }
  const { value } = await slopes(softer, () => maskedSoftCrossEntropy(softer, student, right));
  assert.ok(value > 0, "the other way round there is something to learn");
});

test("maskedSoftCrossEntropy, by default: temperature 10, clip 0.005", async () => {
  const [student, teacher] = [upload(SHAPE, { scale: 60 }), upload(SHAPE, { seed: 2 })];
  const value = (options?: object) => maskedSoftCrossEntropy(student, teacher, label, options).item();
  assert.is(await value(), await value({ temperature: 10, clip: 0.005 }));
  for (const other of [{ temperature: 9 }, { clip: 0.006 }]) assert.is.not(await value(), await value(other));
});

test("contrastiveLoss of the same rows is that of their distances, and rows that coincide do not move", async () => {
  const row = [0.6, 0.8];
  const x = tensor(device, [2, 2], [...row, ...row]);
  const y = tensor(device, [2, 2], [...row, ...row]);
  const { value, gradient } = await slopes(x, () => contrastiveLoss(x, y));
  assert.is(value, 0.5, "two of four pairs are a margin of 1 too near");
  assert.equal(gradient, [0, 0, 0, 0]);
});

test("normaliseRows leaves rows of zeros, and their gradient is finite", async () => {
  const x = tensor(device, [2, 3], [0, 0, 0, 3, 0, 4]);
  assert.equal([...(await normaliseRows(x).read())], [0, 0, 0, Math.fround(0.6), 0, Math.fround(0.8)]);
  const { gradient } = await slopes(x, () =>
    contrastiveLoss(normaliseRows(x), tensor(device, [2, 3], [1, 0, 0, 0, 1, 0])),
  );
  assert.ok(gradient.every(Number.isFinite));
});

/** The largest class of each voxel of SHAPE. */
function largestOf(data: Float64Array): number[] {
  return Array.from({ length: 210 }, (_, i) => {
    const at = (c: number) => data[(Math.floor(i / 105) * 4 + c) * 105 + (i % 105)]!;
    return [1, 2, 3].reduce((best, c) => (at(c) > at(best) ? c : best), 0);
  });
}

test.run();
