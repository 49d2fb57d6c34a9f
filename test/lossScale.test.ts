// The scale of a loss in half precision: what it does to a gradient and to a step, and how it grows and shrinks.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Adam, free, grad, keep, LossScale, Sgd, tensor, type Tensor, weightedSum } from "../engine/index.ts";
import { device } from "./gradcheck.ts";

for (const [name, make] of [
  ["Adam", (p: Tensor) => new Adam([p], { decay: 0 })],
  ["Sgd", (p: Tensor) => new Sgd([p], { decay: 0 })],
] as const) {
  test(`${name} divides by the scale, and leaves out a step whose gradient is not finite`, async () => {
    const start = [1, -2, 3];
    const [plain, scaled] = [0, 1].map(() => keep(tensor(device, [3], start))) as [Tensor, Tensor];
    const [a, b] = [make(plain), make(scaled)];
    const scale = new LossScale(device);
    const gradient = [0.5, 0.25, -1];
    a.step([tensor(device, [3], gradient)], 0.1);
    b.step(
      [
        tensor(
          device,
          [3],
          gradient.map((g) => 65536 * g),
        ),
      ],
      0.1,
      scale,
    );
    scale.update();
    const once = [...(await scaled.read())];
    assert.equal(once, [...(await plain.read())]);
    assert.equal([...(await scale.state.read())], [65536, 1, 1, 0]);

    for (const [i, bad] of [Infinity, -Infinity, NaN].entries()) {
      b.step([tensor(device, [3], [1, bad, 1])], 0.1, scale);
      scale.update();
      assert.equal([...(await scaled.read())], once);
      assert.equal([...(await scale.state.read())], [65536 / 2 ** (i + 1), 0, 1, i + 1]);
      assert.is(await scale.seed.item(), 65536 / 2 ** (i + 1));
    }
    a.step([tensor(device, [3], gradient)], 0.1);
    b.step(
      [
        tensor(
          device,
          [3],
          gradient.map((g) => 8192 * g),
        ),
      ],
      0.1,
      scale,
    );
    const twice = [...(await plain.read())];
    // Adam's count goes on where a step was left out, so that its corrections differ; SGD has none.
    if (name === "Sgd") assert.equal([...(await scaled.read())], twice);
    else assert.not.equal([...(await scaled.read())], once);
    [a, b, scale].forEach((made) => made.free());
    [plain, scaled].forEach(free);
  });
}

test("a number that is not finite is found wherever it is", async () => {
  const size = 9000; // more than two chunks
  for (const at of [0, 63, 4095, 4096, 8191, 8999]) {
    const scale = new LossScale(device);
    const gradient = new Float32Array(size).fill(3.4e38);
    scale.check(tensor(device, [size], gradient));
    assert.is((await scale.state.read())[2], 1);
    gradient[at] = NaN;
    scale.check(tensor(device, [size], gradient));
    scale.check(tensor(device, [1], [1])); // another that is finite does not hide it
    assert.is((await scale.state.read())[2], 0, `at ${at}`);
    scale.free();
  }
});

test("the scale doubles after 2,000 steps in a row that were finite, and not beyond 2^24", async () => {
  const scale = new LossScale(device);
  for (let i = 0; i < 1999; i++) scale.update();
  assert.equal([...(await scale.state.read())], [65536, 1999, 1, 0]);
  scale.update();
  assert.equal([...(await scale.state.read())], [131072, 0, 1, 0]);
  scale.state.write([2 ** 24, 1999, 1, 0]);
  scale.update();
  assert.equal([...(await scale.state.read())], [2 ** 24, 0, 1, 0]);
  scale.free();
});

test("a gradient begins with the seed", async () => {
  const x = tensor(device, [], [3]);
  const { loss, grads } = grad([x], () => weightedSum([[2, x]]), tensor(device, [], [1024]));
  assert.is(await loss.item(), 6);
  assert.is(await grads[0]!.item(), 2048);
});

test.run();
