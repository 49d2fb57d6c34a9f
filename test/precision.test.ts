// Half precision: what is cast, what a scaled loss does to a step, and a training whose activations are f16 beside
// the same one in f32. Adapters without shader-f16 skip what needs it, by name.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../cli/gpu.ts";
import { Adam, cast, free, GpuError, grad, keep, LossScale, Sgd, tensor, vjp } from "../engine/index.ts";
import { add, type Precision, type Tensor, weightedSum } from "../engine/index.ts";
import { checkPrecision } from "../model/network.ts";
import type { Vec3 } from "../model/regions.ts";
import { METHODS } from "../model/methods/index.ts";
import { Params } from "../model/params.ts";
import { Trainer } from "../model/trainer.ts";
import { device } from "./gradcheck.ts";
import { PATCH, stream } from "./training.ts";

const half = device.gpu.features.has("shader-f16");
const testHalf = (title: string, body: () => Promise<void>) =>
  half ? test(title, body) : test.skip(`${title}: no shader-f16 here`, () => undefined);

testHalf("a cast rounds to half precision and back, and casts the gradient", async () => {
  const x = tensor(device, [5], [1, 1 + 2 ** -11 + 2 ** -12, 1e-9, 70000, -0.5]);
  const dy = tensor(device, [5], [1, 2, 3, 2 ** -12 + 1, -5]);
  const { output, grads } = vjp([x], () => cast(cast(x, "f16"), "f32"), dy);
  assert.equal([...(await output.read())], [1, 1 + 2 ** -10, 0, Infinity, -0.5]);
  assert.equal([...(await grads[0]!.read())], [1, 2, 3, 1, -5]);
  assert.is(cast(x, "f32"), x);
});

testHalf("tensors of different precision do not meet in a kernel, and only f32 is read", async () => {
  const x = tensor(device, [3], [1, 2, 3]);
  const h = cast(x, "f16");
  assert.throws(() => add(x, h), /'b' is f16, others are f32: cast\(\) one of them/);
  const outcome = await h.read().catch(String);
  assert.match(String(outcome), /expected f32, got f16/);
  assert.throws(() => h.write([1, 2, 3]), /expected f32, got f16/);
  assert.is(h.bytes, 8); // 6, to whole words
});

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

/** Training of a small network in each precision, on a device of its own. */
async function trainingIn(precision: Precision, filters: number, patch: Vec3, steps = 10) {
  const on = await openDevice();
  const sized = (modalities: number) => {
    const config = { modalities, classes: 4, filters, levels: 3, norm: "instance" } as const;
    return { params: new Params(on, { seed: modalities }), config, precision };
  };
  const trainer = new Trainer({
    ...{ device: on, network: sized(1), teacher: sized(3), method: METHODS["protokd"]! },
    ...{ channels: [2], patch, epochs: 1, stepsPerEpoch: steps, next: stream(patch), rate: 3e-3 },
  });
  return { on, trainer };
}

testHalf("a training in half precision keeps near that in f32", async () => {
  const [full, less] = [[], []] as [number[], number[]];
  for (const [precision, losses] of [
    ["f32", full],
    ["f16", less],
  ] as const) {
    const { on, trainer } = await trainingIn(precision, 4, PATCH);
    for await (const event of trainer.run()) if (event.type === "step") losses.push(event.losses["total"]!);
    assert.is(losses.length, 10);
    assert.ok(losses.at(-1)! < losses[0]!);
    on.gpu.destroy();
  }
  for (const [i, loss] of full.entries()) {
    assert.ok(
      Math.abs(less[i]! / loss - 1) < (i === 0 ? 1e-3 : 2e-2),
      `step ${i + 1}: ${less[i]} beside ${loss}`,
    );
  }
});

testHalf("in half precision activations take half the memory", async () => {
  const bytes: number[] = [];
  for (const precision of ["f32", "f16"] as const) {
    const { on, trainer } = await trainingIn(precision, 8, [32, 32, 32]);
    const before = on.bytes;
    for await (const { type } of trainer.run()) if (type === "compile") break; // a step has been planned
    bytes.push(on.peakBytes - before);
    on.gpu.destroy();
  }
  const [full, less] = bytes as [number, number];
  assert.ok(less < 0.6 * full, `${less} beside ${full} bytes`);
});

test("an adapter without half precision refuses it before anything is made", async () => {
  const least = await openDevice({ limits: "default" });
  checkPrecision(least, "f32");
  assert.throws(
    () => checkPrecision(least, "f16"),
    (error: unknown) => error instanceof GpuError && error.kind === "unsupported",
  );
  least.gpu.destroy();
});

test.run();
