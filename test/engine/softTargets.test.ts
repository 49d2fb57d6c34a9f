// The constants of self-distillation: a teacher's centred probabilities, means of columns, and entropies.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { grad } from "../../engine/autograd/tape.ts";
import { free, type Tensor, tensor } from "../../engine/autograd/tensor.ts";
import { softCrossEntropy } from "../../engine/ops/softCrossEntropy.ts";
import { softTargets, columnMeans, meanEntropy } from "../../engine/ops/softTargets.ts";
import { openDevice } from "../../cli/device/gpu.ts";
import { probabilities } from "../support/cases/softTargets.ts";
import { type Array64, close, device, random, TOLERANCE } from "../support/gradcheck.ts";
import * as reference from "../support/reference/softTargets.ts";

const narrow = await openDevice({ widest: 2 });
const upload = ({ shape, data }: Array64, on = device) => tensor(on, shape, data);
const SHAPES = [
  [1, 1],
  [1, 7],
  [5, 1],
  [7, 13],
  [3, 40],
  [3, 201],
  [131, 3],
];

async function agrees(got: Tensor, want: Array64): Promise<void> {
  assert.equal([...got.shape], [...want.shape]);
  close(await got.read(), want.data, TOLERANCE, "value");
}

for (const shape of SHAPES) {
  for (const [width, on] of Object.entries({ "": device, ", two workgroups wide": narrow })) {
    test(`softTargets, [${shape}]${width}: of the rows without their center, sharpened`, async () => {
      const [x, center] = [random(shape, { scale: 0.3 }), random([1, shape[1]!], { seed: 3, scale: 0.2 })];
      for (const temperature of [0.05, 1]) {
        const want = reference.softTargets(x, center, temperature);
        await agrees(softTargets(upload(x, on), upload(center, on), temperature), want);
      }
    });

    test(`columnMeans and meanEntropy, [${shape}]${width}`, async () => {
      const [x, p] = [random(shape), probabilities(shape)];
      await agrees(columnMeans(upload(x, on)), reference.columnMeans(x));
      await agrees(meanEntropy(upload(p, on)), reference.meanEntropy(p));
    });
  }
}

test("softTargets of values whose exponentials overflow, and of rows far below 0", async () => {
  for (const offset of [3000, -3000]) {
    const x = random([3, 5], { scale: 30, offset });
    const center = { shape: [1, 5], data: new Float64Array(5) };
    await agrees(softTargets(upload(x), upload(center), 1), reference.softTargets(x, center, 1));
  }
});

test("softTargets of many values whose exponentials overflow without their center", async () => {
  const [x, center] = [random([3, 201], { scale: 400 }), random([1, 201], { seed: 3, scale: 400 })];
  for (const temperature of [1, 5])
    await agrees(
      softTargets(upload(x), upload(center), temperature),
      reference.softTargets(x, center, temperature),
    );
});

test("meanEntropy keeps no memory but its result", () => {
  const p = upload(probabilities([7, 13]));
  free(meanEntropy(p));
  const before = device.bytes;
  for (let i = 0; i < 3; i++) free(meanEntropy(p));
  assert.is(device.bytes, before);
});

test("softCrossEntropy of sure predictions keeps all digits", async () => {
  for (const rest of [0.99, 0.499, 0.4, 0.1, 2 ** -10, 2 ** -16]) {
    const logits = { shape: [1, 2], data: Float64Array.of(0, Math.fround(Math.log(rest))) };
    const q = { shape: [1, 2], data: Float64Array.of(1, 0) };
    const want = reference.softCrossEntropy(logits, q, 1).data[0]!;
    const got = await softCrossEntropy(upload(logits), upload(q), 1).item();
    assert.ok(Math.abs(got / want - 1) < 2 ** -23 * (2 + 1 / rest), `${rest}: ${got} instead of ${want}`);
  }
});

test("the entropy of sure rows is 0, of even ones the logarithm of their number", async () => {
  assert.is(await meanEntropy(tensor(device, [2, 3], [0, 1, 0, 1, 0, 0])).item(), 0);
  const even = await meanEntropy(tensor(device, [2, 4], Array(8).fill(0.25))).item();
  assert.ok(Math.abs(even - Math.log(4)) < 1e-6, `${even}`);
});

test("the targets are constants: no gradient passes to what they are made of", () => {
  const x = upload(random([2, 3]));
  const center = upload(random([1, 3]));
  const loss = () => softCrossEntropy(center, softTargets(x, center, 1), 1);
  const rows = upload(random([2, 3]));
  const targets = () => softCrossEntropy(rows, softTargets(x, center, 1), 1);
  assert.throws(loss, /expected q/);
  assert.throws(() => grad([x], targets), /does not depend on parameter 0/);
});

test.run();
