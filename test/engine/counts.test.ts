// The exact counts of labels, and the weights computed from them.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { classCounts, classWeights, commonClasses } from "../../engine/ops/classCounts.ts";
import { segmentationLosses } from "../../engine/ops/segmentationLosses.ts";
import { Tensor, tensor } from "../../engine/autograd/tensor.ts";
import { close, device, randomLabels } from "../support/gradcheck.ts";

for (const [name, shape, classes] of [
  ["one voxel", [1, 1, 1, 1], 1],
  ["one voxel, five classes", [1, 1, 1, 1], 5],
  ["two samples of a whole chunk", [2, 1, 64, 64], 3],
  ["three samples of two chunks, nine classes", [3, 1, 41, 101], 9],
  ["more chunks than threads", [1, 65, 64, 64], 4],
  ["more samples than threads", [70, 1, 1, 3], 4],
  ["more classes than threads", [2, 3, 5, 7], 70],
] as const) {
  test(`classCounts, ${name}: by sample and class, and weights`, async () => {
    const { data } = randomLabels(shape, classes);
    const counts = classCounts(tensor(device, shape, data), classes);
    const [batch] = shape;
    const voxels = data.length / batch;
    const want = Array.from({ length: batch }, () => Array<number>(classes).fill(0));
    for (const [i, label] of data.entries()) want[Math.floor(i / voxels)]![label]!++;
    assert.equal([...(await counts.read())], want.flat());
    const label = tensor(device, shape, data);
    const logits = new Tensor(device, [batch, classes, ...shape.slice(1)]);
    const joint = segmentationLosses(logits, label); // which counts them too
    assert.equal([...(await joint.counts.read())], want.flat());

    const column = (k: number) => want.map((row) => row[k]!);
    const others = Array.from({ length: classes }, (_, k) => data.length - column(k).reduce((a, b) => a + b));
    const weights = others.map((count) => count / data.length);
    close(await classWeights(counts).read(), weights, 1e-6, "weights");
    const common = Array.from({ length: classes }, (_, k) => Number(column(k).every((count) => count > 0)));
    assert.equal([...(await commonClasses(counts).read())], common);
  });
}

test("classWeights without any voxel: every weight is 0", async () => {
  assert.equal([...(await classWeights(tensor(device, [2, 3], Array(6).fill(0))).read())], [0, 0, 0]);
});

test.run();
