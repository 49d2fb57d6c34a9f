// A diverged network must not look healthy: NaN stays NaN up to the loss, which the trainer checks.

import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  batchNormEvalRelu,
  binaryLosses,
  classCounts,
  contrastiveLoss,
  crossEntropy,
  diceLoss,
  featureDivergence,
  instanceNorm,
  instanceNormRelu,
  leakyRelu,
  leakyReluSlope,
  logSoftmax,
  maskedSoftCrossEntropy,
  multiply,
  normaliseRows,
  prototypeDistance,
  regionLogits,
  regionProbabilities,
  relu,
  segmentationLosses,
  softmax,
  type Tensor,
  tensor,
} from "../../engine/index.ts";
import { device } from "../support/gradcheck.ts";

const ones = (size: number) => tensor(device, [size], Array(size).fill(1));
const ones5 = () => tensor(device, [1, 2, 1, 1, 2], [1, 1, 1, 1]);
const label = tensor(device, [1, 1, 1, 2], [0, 1]);
const right = tensor(device, [1, 2, 1, 1, 2], [9, 0, 0, 9]); // logits of these classes

const ops: Record<string, (x: Tensor) => Tensor> = {
  relu,
  leakyRelu: (x) => leakyRelu(x),
  leakyReluSlope: (x) => leakyReluSlope(x, ones5()),
  multiply: (x) => multiply(ones5(), x),
  softmax,
  logSoftmax,
  instanceNorm: (x) => instanceNorm(x, ones(2), ones(2)),
  instanceNormRelu: (x) => instanceNormRelu(x, ones(2), ones(2)),
  batchNormEvalRelu: (x) => batchNormEvalRelu(x, ones(2), ones(2), { mean: ones(2), variance: ones(2) }),
  crossEntropy: (x) => crossEntropy(x, label, ones(2)),
  diceLoss: (x) => diceLoss(x, label),
  "segmentationLosses, cross-entropy": (x) => segmentationLosses(x, label).crossEntropy,
  "segmentationLosses, Dice": (x) => segmentationLosses(x, label).dice,
  "segmentationLosses, divergence": (x) => segmentationLosses(x, label, { targets: ones5() }).divergence!,
  "segmentationLosses, divergence from NaN": (targets) =>
    segmentationLosses(ones5(), label, { targets }).divergence!,
  prototypeDistance: (x) => prototypeDistance(x, ones5(), label, classCounts(label, 2)),
  "prototypeDistance, of a teacher": (x) => prototypeDistance(ones5(), x, label, classCounts(label, 1)),
  regionLogits: (x) => regionLogits(x, [[1]]),
  regionProbabilities: (x) => regionProbabilities(x, [[1]]),
  "binaryLosses, cross-entropy": (x) => binaryLosses(x, ones5()).crossEntropy,
  "binaryLosses, Dice": (x) => binaryLosses(x, ones5()).dice,
  "binaryLosses, of targets": (x) => binaryLosses(ones5(), x).crossEntropy,
  "binaryLosses, Dice of targets": (x) => binaryLosses(ones5(), x).dice,
  featureDivergence: (x) => featureDivergence(x, ones5()),
  "featureDivergence, of a teacher": (x) => featureDivergence(ones5(), x),
  normaliseRows: (x) => normaliseRows(x),
  contrastiveLoss: (x) => contrastiveLoss(x, ones5()),
  "contrastiveLoss, of the other rows": (x) => contrastiveLoss(ones5(), x),
  maskedSoftCrossEntropy: (x) => maskedSoftCrossEntropy(x, right, label),
  "maskedSoftCrossEntropy, of a teacher": (x) => maskedSoftCrossEntropy(ones5(), x, label),
};

for (const [name, op] of Object.entries(ops)) {
  test(`${name} of NaN is NaN`, async () => {
    // 0 / 0 and Infinity - Infinity give NaNs of different signs.
    for (const bits of [0x7fc00000, 0xffc00000, 0x7f800001]) {
      const values = Float32Array.of(1, 0, 3, -4);
      new Uint32Array(values.buffer)[1] = bits;
      const y = await op(tensor(device, [1, 2, 1, 1, 2], values)).read();
      assert.ok(y.some(Number.isNaN), `${bits.toString(16)} gives ${y.join()}`);
    }
  });
}

test("relu of an infinity is as of large numbers", async () => {
  const y = await relu(tensor(device, [6], [-Infinity, -3e38, -0, 0, 3e38, Infinity])).read();
  assert.equal([...y], [0, 0, 0, 0, Math.fround(3e38), Infinity]);
});

test.run();
