// An op frees its intermediates at once, not when the scope around it ends: in a network that is the
// difference between the memory of the largest op and that of all ops together.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { scope, tensor } from "../../engine/autograd/tensor.ts";
import { cases } from "../support/cases.ts";
import { device } from "../support/gradcheck.ts";

const bytesOf = (size: number) => Math.max(16, Math.ceil((4 * size) / 16) * 16);

/**
 * Bytes beside a result of `size` elements, of a row with a first input [N,C,...]: small tensors wait for the
 * end of the scope.
 */
const BESIDE: Record<string, (batch: number, channels: number, size: number) => number> = {
  batchNorm: (_, channels) => 2 * bytesOf(channels), // the running statistics, which the row creates
  batchNormRelu: (_, channels) => 2 * bytesOf(channels),
  crossEntropy: () => bytesOf(1),
  diceLoss: (_, channels) => 32 * Math.ceil(channels / 4),
  meanSquaredError: () => bytesOf(1),
  regionScores: (_, _channels, size) => bytesOf(2 * size), // the norms of its softmax
  statisticsL2: (batch, channels) => 2 * bytesOf(2 * batch * channels) + 2 * bytesOf(1),
};

for (const { op, name, inputs, constants, run } of cases) {
  test(`${op}, ${name}: leaves nothing but its result`, () => {
    scope(() => {
      const tensors = Object.fromEntries(
        Object.entries({ ...inputs, ...constants }).map(([key, { shape, data }]) => [
          key,
          tensor(device, shape, data),
        ]),
      );
      const before = device.bytes;
      const { size } = run(tensors);
      const [batch = 1, channels = 1] = Object.values(inputs)[0]!.shape;
      assert.is(device.bytes - before, bytesOf(size) + (BESIDE[op]?.(batch, channels, size) ?? 0));
    });
  });
}

test.run();
