// Losses between representations: values computed elsewhere, changes that leave them as they are, and errors.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { barlowTwins } from "../../engine/ops/barlowTwins.ts";
import { channelStatistics } from "../../engine/ops/channelStatistics.ts";
import { classLevelKl } from "../../engine/ops/classLevelKl.ts";
import { classMeans } from "../../engine/ops/classMeans.ts";
import { linear } from "../../engine/ops/linear.ts";
import { statisticsL2 } from "../../engine/ops/statisticsL2.ts";
import { grad } from "../../engine/autograd/tape.ts";
import { type Tensor, tensor } from "../../engine/autograd/tensor.ts";
import { close, device, random } from "../support/gradcheck.ts";

/** c · sin(a·i + b) for element i. */
function wave(shape: readonly number[], a: number, b: number, c: number): Tensor {
  const length = shape.reduce((product, s) => product * s, 1);
  return tensor(
    device,
    shape,
    Array.from({ length }, (_, i) => c * Math.sin(a * i + b)),
  );
}

const upload = (shape: readonly number[], seed = 1): Tensor =>
  tensor(device, shape, random(shape, { seed }).data);

test("the class-level divergence of two unpaired batches has the value computed elsewhere", async () => {
  const size = [2, 4, 2, 2, 2];
  const label = (values: number[]) => tensor(device, [2, 2, 2, 2], values);
  const loss = classLevelKl(
    { logits: wave(size, 0.7, 0.1, 2), label: label([0, 0, 1, 2, 0, 3, 0, 1, 0, 0, 0, 0, 1, 2, 2, 1]) },
    { logits: wave(size, 1.3, 0.5, 3), label: label([1, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 2, 1]) },
    { absent: "uniform" },
  );
  close([await loss.item()], [0.156862955669], 2e-6, "loss");
});

test("the Barlow Twins loss of two waves has the value computed elsewhere", async () => {
  const loss = barlowTwins(wave([4, 3], 0.7, 0.1, 2), wave([4, 3], 1.3, 0.5, 3));
  close([await loss.item()], [4.041285379], 2e-6, "loss");
});

test("a class that either batch lacks is skipped, whichever comes first", async () => {
  const label = (classes: readonly number[]) => tensor(device, [1, 1, 1, 3], classes);
  const one = { logits: upload([1, 3, 1, 1, 3]), label: label([0, 1, 2]) };
  const other = { logits: upload([1, 3, 1, 1, 3], 2), label: label([0, 2, 2]) };
  const [forth, back] = [await classLevelKl(one, other).item(), await classLevelKl(other, one).item()];
  close([back], [forth], 1e-6, "exchanged");
  const uniform = await classLevelKl(other, one, { absent: "uniform" }).item();
  assert.ok(forth > 0 && Math.abs(uniform - forth) > 1e-3, `${forth}, with uniform classes ${uniform}`);
});

test("batches without a class in common are at distance 0, and have no gradient", async () => {
  const [a, b] = [upload([1, 2, 1, 1, 3]), upload([1, 2, 1, 1, 3], 2)];
  const label = (k: number) => tensor(device, [1, 1, 1, 3], [k, k, k]);
  const labelled = [label(0), label(1)];
  const measured = () => classLevelKl({ logits: a, label: labelled[0]! }, { logits: b, label: labelled[1]! });
  const { loss, grads } = grad([a, b], measured);
  assert.is(await loss.item(), 0);
  for (const one of grads) assert.ok((await one.read()).every((value) => value === 0));
});

test("a representation is at distance 0 from itself; exchanging voxels keeps its statistics", async () => {
  const x = upload([2, 3, 3, 4, 5]);
  assert.is(await statisticsL2(x, x).item(), 0);
  const label = tensor(device, [2, 3, 4, 5], new Float32Array(120));
  assert.is(await classLevelKl({ logits: x, label }, { logits: x, label }).item(), 0);
  const { shape, data } = random([1, 1, 1, 1, 6]);
  const mirrored = tensor(device, shape, data.slice().reverse());
  assert.ok((await statisticsL2(tensor(device, shape, data), mirrored).item()) < 1e-12);
});

test("a product may have more elements than a dispatch has workgroups along a dimension", async () => {
  const outputs = 65_535 + 700;
  const weight = Float32Array.from({ length: outputs }, (_, i) => i % 1000);
  const y = await linear(tensor(device, [1, 1], [2]), tensor(device, [outputs, 1], weight)).read();
  assert.ok(y.every((value, i) => value === 2 * (i % 1000)));
});

test("errors name shapes that do not fit", () => {
  const x = upload([2, 3, 2, 2, 2]);
  assert.throws(() => linear(upload([2, 3]), upload([4, 2])), /linear: expected .* got \[2,3\] and \[4,2\]/);
  assert.throws(() => linear(x, upload([4, 2])), /linear: expected x \[N,I\]/);
  assert.throws(() => linear(upload([2, 3]), upload([4, 3]), upload([3])), /a bias \[4\], got \[3\]/);
  assert.throws(
    () => barlowTwins(upload([2, 3]), upload([3, 2])),
    /barlowTwins: expected .*\[2,3\] and \[3,2\]/,
  );
  assert.throws(() => barlowTwins(x, x), /barlowTwins: expected two tensors of one shape \[N,D\]/);
  assert.throws(() => channelStatistics(upload([2, 3])), /channelStatistics: expected \[N,C,D,H,W\]/);
  assert.throws(() => statisticsL2(x, upload([2, 4, 2, 2, 2])), /statisticsL2: expected the same samples/);
  assert.throws(() => classMeans(x, upload([2, 2, 2, 3]), 3), /classMeans: expected a label \[2,2,2,2\]/);
  const label = upload([2, 2, 2, 2]);
  assert.throws(
    () => classLevelKl({ logits: x, label }, { logits: upload([2, 4, 2, 2, 2]), label }),
    /classLevelKl: expected logits of as many classes/,
  );
  const same = { logits: x, label };
  assert.throws(() => classLevelKl(same, same, { temperature: 0 }), /a positive temperature, got 0/);
});

test.run();
