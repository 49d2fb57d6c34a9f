// Resampling and activations beyond the rows: ties, extreme values and errors.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { concat } from "../../engine/ops/concat.ts";
import { gelu, sigmoid, tanh } from "../../engine/ops/activations.ts";
import { globalAveragePool } from "../../engine/ops/globalAveragePool.ts";
import { maskChannels } from "../../engine/ops/maskChannels.ts";
import { maxPool3d } from "../../engine/ops/maxPool3d.ts";
import { upsampleNearest } from "../../engine/ops/upsampleNearest.ts";
import { upsampleTrilinear } from "../../engine/ops/upsampleTrilinear.ts";
import { vjp } from "../../engine/autograd/tape.ts";
import { type Tensor, tensor } from "../../engine/autograd/tensor.ts";
import { device } from "../support/gradcheck.ts";
import { normalIntegral } from "../support/reference/norms.ts";

test("the first of equal values in a window gets the gradient, as in PyTorch", async () => {
  const x = tensor(device, [1, 1, 2, 2, 2], [0, 3, 3, 1, 3, 0, 0, 3]);
  const { grads } = vjp([x], () => maxPool3d(x), tensor(device, [1, 1, 1, 1, 1], [5]));
  assert.equal([...(await grads[0]!.read())], [0, 5, 0, 0, 0, 0, 0, 0]);
});

test("activations of extreme numbers are their limits, and their gradients finite", async () => {
  const values = [-3e38, -1000, -30, 0, 30, 1000, 3e38];
  const wanted = new Map<(x: Tensor) => Tensor, number[]>([
    [sigmoid, [0, 0, Math.exp(-30), 0.5, 1, 1, 1]],
    [tanh, [-1, -1, -1, 0, 1, 1, 1]],
    [gelu, [0, 0, 0, 0, 30, 1000, 3e38]],
  ]);
  for (const [activation, want] of wanted) {
    const x = tensor(device, [values.length], values);
    const one = tensor(
      device,
      [values.length],
      values.map(() => 1),
    );
    const { output, grads } = vjp([x], () => activation(x), one);
    const got = await output.read();
    want.forEach((value, i) =>
      assert.ok(
        Math.abs(got[i]! - value) <= 1e-5 * Math.abs(value) + 1e-30,
        `${activation.name}(${values[i]})`,
      ),
    );
    assert.ok((await grads[0]!.read()).every(Number.isFinite), activation.name);
  }
});

test("tanh keeps the digits of small numbers, and has no step where its two forms join", async () => {
  const values = [1e-20, 1e-6, -1e-3, 0.1, 0.6249999, 0.625, -0.6250001, 2];
  const got = await tanh(tensor(device, [values.length], values)).read();
  values.forEach((value, i) => {
    const want = Math.tanh(Math.fround(value));
    assert.ok(Math.abs(got[i]! - want) <= 4e-7 * Math.abs(want), `tanh(${value}) = ${got[i]}`);
  });
});

test("gelu's integral of the normal distribution is right to 1e-7 everywhere", async () => {
  const values = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 250);
  const got = await gelu(tensor(device, [values.length], values)).read();
  const worst = values.reduce((worst, value, i) => {
    if (value === 0) return worst;
    return Math.max(worst, Math.abs(got[i]! / value - normalIntegral(value)));
  }, 0);
  assert.ok(worst <= 1.5e-7, `${worst}`); // 1e-7, and the rounding of the product and of this quotient
});

test("a masked channel is 0 whatever it holds, and its gradient too", async () => {
  const x = tensor(device, [1, 2, 2], [NaN, Infinity, 3, 4]);
  const mask = tensor(device, [1, 2], [0, 1]);
  const dy = tensor(device, [1, 4, 2], [NaN, Infinity, 5, 6, NaN, NaN, NaN, NaN]);
  const { output, grads } = vjp([x], () => maskChannels(x, mask), dy);
  assert.equal([...(await output.read())], [0, 0, 3, 4, 0, 0, 1, 1]);
  assert.equal([...(await grads[0]!.read())], [0, 0, 5, 6]);
});

test("errors of resampling name the shape", () => {
  const x = (...shape: number[]) => tensor(device, shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));
  const flat = x(1, 2, 4);
  assert.throws(() => concat(x(1, 2, 3), flat), /concat: expected .* got \[1,2,3\] and \[1,2,4\]/);
  assert.throws(() => concat(x(2, 2, 4), flat), /concat: expected/);
  assert.throws(() => maxPool3d(x(1, 1, 2, 1, 2)), /maxPool3d: expected .* got \[1,1,2,1,2\]/);
  assert.throws(() => maxPool3d(flat), /maxPool3d: expected/);
  assert.throws(() => upsampleNearest(flat), /upsampleNearest: expected \[N,C,D,H,W\], got \[1,2,4\]/);
  assert.throws(() => upsampleTrilinear(flat), /upsampleTrilinear: expected/);
  assert.throws(() => globalAveragePool(x(2, 3)), /globalAveragePool: expected/);
});

test.run();
