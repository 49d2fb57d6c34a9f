// 3³ convolutions by each kernel in turn. No other test runs most of them on this adapter, because they are
// not the default. Only a few of their sizes, since each takes seconds to compile.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { candidates, tuningOf } from "../../engine/convolution/tuning.ts";
import { cases } from "../support/cases.ts";
import { conv3dWithMoments, instanceNorm, tensor } from "../../engine/index.ts";
import { check, close, random } from "../support/gradcheck.ts";

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

const MOMENTS = [
  [3, [3, 5, 7]],
  [17, [2, 9, 12]],
  [9, [3, 33, 31]],
] as const;

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
  test(`conv3d by ${name}: the moments that it gives are those of its result`, async () => {
    for (const [channels, size] of MOMENTS) {
      const upload = (shape: number[], seed: number) => tensor(own, shape, random(shape, { seed }).data);
      const bias = tensor(own, [channels], new Float32Array(channels).fill(1e3)); // far beyond the deviation
      const x = upload([2, 3, ...size], 1);
      const { y, moments } = conv3dWithMoments(x, upload([channels, 3, 3, 3, 3], 2), bias, { padding: 1 });
      const [w, b] = [upload([channels], 3), upload([channels], 4)];
      const plain = await instanceNorm(y, w, b).read();
      if (moments) close(await instanceNorm(y, w, b, { moments }).read(), plain, 1e-4, "value");
      if (kernel === "tile" && size[2]! > 30) assert.ok(moments, "large volumes come with moments");
    }
  });
  test(`conv3d by ${name}: that kernel ran`, () => {
    assert.ok([...own.pipelines.keys()].some((key) => key.startsWith(`${FILES[kernel]}/forward`)));
  });
}

const HALVING = cases.filter(({ op, name }) => /^conv/.test(op) && /^2³, stride 2/.test(name));
const WIDEST = 2; // workgroups, so that a grid has several rows of them
for (const [limits, own] of Object.entries({
  "the adapter's": await openDevice({ widest: WIDEST }),
  "WebGPU's least": await openDevice({ limits: "default" }),
})) {
  own.tuning = { ...tuningOf(own), halving: { kernel: "product" } };
  for (const row of HALVING)
    test(`conv3dProduct, ${row.op}, ${row.name}, ${limits} limits: value and gradients`, () =>
      check(row, own));
  test(`conv3dProduct, cut into several dispatches, ${limits} limits`, async () => {
    own.budget = 1;
    await check(
      HALVING.find(({ op, name }) => op === "convTranspose3d" && /17 channels/.test(name))!,
      own,
    );
    own.budget = null;
  });
  test(`conv3dProduct, ${limits} limits: those kernels ran`, () => {
    for (const sum of ["gather", "scatter", "pair"])
      assert.ok(
        [...own.pipelines.keys()].some((key) => key.startsWith(`conv3dProduct.wgsl/${sum}`)),
        sum,
      );
  });
}

test.run();
