// 3³ convolutions by kernels that no other test runs on this adapter: neither by default nor within WebGPU's least limits.
// Wide and narrow ones, since each takes seconds to compile.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { type Tuning, tuningOf } from "../../engine/convolution/tuning.ts";
import { cases } from "../support/cases.ts";
import { check } from "../support/gradcheck.ts";

const OTHERS: readonly Pick<Tuning, "forward" | "weightGradient">[] = [
  { forward: { kernel: "subgroups", WG: 128 }, weightGradient: { kernel: "plain", WG: 256 } },
  { forward: { kernel: "plain", WG: 32, TW: 4 }, weightGradient: { kernel: "plain", WG: 64 } },
];

const rows = cases.filter(({ op, name }) => op === "conv3d" && /^3³(?!, stride)/.test(name));

for (const choice of OTHERS) {
  const { kernel } = choice.forward;
  const name = JSON.stringify(choice.forward);
  const own = await openDevice();
  if (kernel === "subgroups" && own.lanes.min < 8) {
    console.log(`SKIPPED: ${name}: this adapter has no subgroups of eight lanes`);
    continue;
  }
  own.tuning = { ...tuningOf(own), ...choice };
  for (const row of rows) test(`conv3d, ${row.name}, by ${name}: value and gradients`, () => check(row, own));
  test(`conv3d by ${name}, in pieces that a driver's patience allows`, async () => {
    Object.defineProperty(own, "budget", { value: 1, configurable: true });
    await check(rows[0]!, own);
    delete (own as { budget?: number }).budget;
  });
  test(`conv3d by ${name}: that kernel did it`, () => {
    const file = kernel === "plain" ? "conv3d.wgsl" : "conv3dSubgroups.wgsl";
    assert.ok([...own.pipelines.keys()].some((key) => key.startsWith(`${file}/forward`)));
  });
}

test.run();
