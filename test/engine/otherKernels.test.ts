// 3³ convolutions by each kernel in turn. No other test runs most of them on this adapter, because they are
// not the default. Only a few of their sizes, since each takes seconds to compile.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { candidates, tuningOf } from "../../engine/convolution/tuning.ts";
import { cases } from "../support/cases.ts";
import { check } from "../support/gradcheck.ts";

const UNDER_LEAST_LIMITS = {
  forward: { kernel: "tile" },
  weightGradient: { kernel: "ring", TY: 4 },
} as const;
const OTHERS = [
  { forward: { kernel: "narrow" }, weightGradient: { kernel: "rotate" } },
  { forward: { kernel: "eight" }, weightGradient: { kernel: "eight" } },
  { forward: { kernel: "subgroups", WG: 128 }, weightGradient: { kernel: "plain", WG: 256 } },
  { forward: { kernel: "tile" }, weightGradient: { kernel: "ring", TY: 8 } },
  UNDER_LEAST_LIMITS,
  { forward: { kernel: "plain", WG: 32, TW: 4 }, weightGradient: { kernel: "plain", WG: 64 } },
] as const;

const FILES = {
  narrow: "conv3dNarrow.wgsl",
  eight: "conv3dEight.wgsl",
  subgroups: "conv3dSubgroups.wgsl",
  tile: "conv3dTile.wgsl",
  plain: "conv3d.wgsl",
};

const text = (value: unknown) => JSON.stringify(value);
const rows = cases.filter(({ op, name }) => op === "conv3d" && /^3³(?!, stride)/.test(name));

for (const choice of OTHERS) {
  const { kernel } = choice.forward;
  const limits = choice === UNDER_LEAST_LIMITS ? "default" : "adapter";
  const name = `${text(choice.forward)} and ${text(choice.weightGradient)}, ${limits} limits`;
  const own = await openDevice({ limits });
  const known = [...candidates(own).forward, { kernel: "tile" }]; // which runs everywhere, slowly
  if (!known.some((candidate) => candidate.kernel === kernel)) {
    console.log(`SKIPPED: ${name}: this adapter cannot run it`);
    continue;
  }
  own.tuning = { ...tuningOf(own), ...choice };
  for (const row of rows) test(`conv3d, ${row.name}, by ${name}: value and gradients`, () => check(row, own));
  test(`conv3d by ${name}, cut into several dispatches`, async () => {
    own.budget = 1;
    await check(
      rows.find(({ name }) => /planes of 4x4/.test(name))!,
      own,
    );
    own.budget = null;
  });
  test(`conv3d by ${name}: that kernel ran`, () => {
    assert.ok([...own.pipelines.keys()].some((key) => key.startsWith(`${FILES[kernel]}/forward`)));
  });
}

test.run();
