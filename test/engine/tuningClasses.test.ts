// The choice of a kernel for each class of calls, and the time by which it is chosen.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { tuningText } from "../../cli/device/tuning.ts";
import { classesOf } from "../../engine/convolution/families.ts";
import { milliseconds } from "../../engine/convolution/stopwatch.ts";
import {
  candidates,
  conv3d,
  defaultTuning,
  type Device,
  isTuning,
  Tensor,
  tensor,
  tune,
  tuningOf,
} from "../../engine/index.ts";

const text = (value: unknown) => JSON.stringify(value);

/** A device without features, where few candidates run: each takes seconds to compile. */
const small = (): Promise<Device> => openDevice({ limits: "default" });

test("each class of calls has the kernel that is fastest on it", async () => {
  const own = await small();
  const before = defaultTuning(own);
  const fast = { kernel: "plain", WG: 128, TW: 4 } as const;
  const slow = { kernel: "plain", WG: 32, TW: 4 } as const;
  const names = classesOf("forward");
  assert.is(names.length, 16);
  const [at, other] = [
    names.indexOf("gather, some channels, small"),
    names.indexOf("scatter, few channels, large"),
  ];
  let calls = 0;
  const count = candidates(own).forward.length;
  const tuning = await tune(own, () => {
    const name = names[Math.floor(calls++ / count)]; // the first candidates are the forward family's
    const { forward } = tuningOf(own);
    if (name === names[at]) return Promise.resolve(text(forward) === text(fast) ? 1 : 2);
    if (name === names[other]) return Promise.resolve(text(forward) === text(slow) ? 1 : 2);
    return Promise.resolve(1);
  });
  const { forward, ...rest } = tuning;
  const { forward: usual, ...others } = before;
  assert.equal(rest, others);
  assert.equal(
    forward,
    Object.fromEntries(names.map((name, i) => [name, i === at ? fast : i === other ? slow : usual])),
  );
  assert.ok(isTuning(JSON.parse(text(tuning)), own));
  assert.not(isTuning({ ...tuning, forward: { [names[0]!]: fast } }, own), "classes without a kernel");
  assert.not(isTuning({ ...tuning, forward: { ...forward, [names[at]!]: { kernel: "cube" } } }, own));
  assert.is(
    tuningText(tuning),
    "forward plain (WG 64, TW 8); plain (WG 128, TW 4) for gather, some channels, small; " +
      "plain (WG 32, TW 4) for scatter, few channels, large, weight gradient plain (WG 64), halving plain",
  );

  own.tuning = tuning;
  const ran = async (channels: number, edge: number) => {
    own.pipelines.clear();
    const weight = tensor(own, [channels, channels, 3, 3, 3], new Float32Array(27 * channels ** 2));
    await conv3d(new Tensor(own, [1, channels, edge, edge, edge]), weight).read();
    const [key] = own.pipelines.keys();
    return key!;
  };
  assert.match(await ran(64, 4), /"WG":128,.*"TW":4/);
  assert.not.match(await ran(8, 4), /"WG":128/);
  assert.not.match(await ran(128, 4), /"WG":128/);
  own.gpu.destroy();
});

test("a call is timed by the GPU's clock, or by the wall's; hopeless ones once", async () => {
  for (const own of [await openDevice(), await small()]) {
    const x = tensor(own, [1, 8, 16, 16, 16], new Float32Array(8 * 16 ** 3).fill(1));
    const weight = tensor(own, [8, 8, 3, 3, 3], new Float32Array(8 * 8 * 27).fill(1));
    let calls = 0;
    const times = (n: number) => () => {
      calls++;
      for (let i = 0; i < n; i++) conv3d(x, weight);
    };
    const time = milliseconds(own);
    const [one, ten] = [await time(times(1), Infinity), await time(times(10), Infinity)];
    assert.ok(one > 0 && ten > 3 * one, `${one} ms, ten of them ${ten} ms`);
    calls = 0;
    assert.ok((await time(times(10), one / 100)) > 0);
    assert.is(calls, 2, "to compile it, and to see that it is slow");
    assert.is(own.profile, null);
    own.gpu.destroy();
  }
});

test.run();
