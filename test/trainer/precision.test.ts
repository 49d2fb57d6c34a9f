// Half precision: what is cast, and a training whose activations are f16 beside the same one in f32. Adapters
// without shader-f16 skip what needs it, by name.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { add, cast, GpuError, type Precision, tensor, vjp } from "../../engine/index.ts";
import { checkPrecision } from "../../model/networks/network.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import { PROTOKD } from "../../model/losses/losses.ts";
import { Params } from "../../model/networks/params.ts";
import { device } from "../support/gradcheck.ts";
import { PATCH, stream, trainer } from "../support/training.ts";

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

/** Training of a small network in each precision, on a device of its own. */
async function trainingIn(precision: Precision, filters: number, patch: Vec3, steps = 10) {
  const on = await openDevice();
  const sized = (modalities: number) => {
    const config = { modalities, classes: 4, filters, levels: 3, norm: "instance" } as const;
    return { params: new Params(on, { seed: modalities }), config, precision };
  };
  const made = trainer({
    device: on,
    network: sized(1),
    teacher: sized(3),
    method: "protokd",
    settings: { ...PROTOKD },
    channels: [2],
    patch,
    epochs: 1,
    stepsPerEpoch: steps,
    next: stream(patch),
    optimizer: { lr: 3e-3 },
  });
  return { on, trainer: made };
}

testHalf("a training in half precision keeps near that in f32", async () => {
  const [full, less] = [[], []] as [number[], number[]];
  for (const [precision, losses] of [
    ["f32", full],
    ["f16", less],
  ] as const) {
    const { on, trainer: made } = await trainingIn(precision, 4, PATCH);
    for await (const event of made.run()) if (event.type === "step") losses.push(event.losses["total"]!);
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
    const { on, trainer: made } = await trainingIn(precision, 8, [32, 32, 32]);
    const before = on.bytes;
    for await (const { type } of made.run()) if (type === "compile") break; // a step has been planned
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
