// Which kernels a convolution and its gradients run, in how many workgroups and for how many operations, on a
// device that only counts. Superfluous work would change no result, so only this test notices it.

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Device } from "../../engine/gpu/device.ts";
import { conv3d, conv3dWithMoments, type ConvOptions } from "../../engine/ops/conv3d.ts";
import { convTranspose3d, type ConvTransposeOptions } from "../../engine/ops/convTranspose3d.ts";
import { vjp } from "../../engine/autograd/tape.ts";
import { Tensor } from "../../engine/autograd/tensor.ts";
import { plainTuning, type Tuning } from "../../engine/convolution/tuning.ts";
import { device as shared } from "../support/gradcheck.ts";

const PLAIN = plainTuning(shared);
const EIGHT: Tuning = {
  forward: { kernel: "eight" },
  weightGradient: { kernel: "eight" },
  halving: { kernel: "halving" },
};
const LANEWISE: Tuning = {
  ...EIGHT,
  forward: { kernel: "narrow" },
  weightGradient: { kernel: "rotate" },
};
const WIDE: Tuning = { ...PLAIN, forward: { kernel: "subgroups", WG: 32 } };
const NARROW: Tuning = { ...PLAIN, forward: { kernel: "plain", WG: 32, TW: 4 } };

/** "kernel workgroups operations" of each call of a kernel. A call may be several dispatches. */
function calls(tuning: Tuning, act: (on: Device) => unknown): string[] {
  const on = shared.counting();
  on.tuning = tuning;
  const seen: { kernel: string; groups: number; operations: number }[] = [];
  let operations = 0;
  on.listener = {
    work: (work) => void (operations += work),
    dispatch: (label, _, [x, y, z]) => {
      if (on.dispatches > seen.length)
        seen.push({ kernel: label.replace(".wgsl", ""), groups: 0, operations: 0 });
      const last = seen.at(-1)!;
      last.groups += x * y * z;
      last.operations += operations;
      operations = 0;
    },
  };
  act(on);
  return seen.map(({ kernel, groups, operations }) => `${kernel} ${groups} ${Math.round(operations)}`);
}

/** conv3d of x by weight [O,I,K,K,K]: forward and both gradients. */
const conv =
  (x: number[], weight: number[], options: ConvOptions = {}) =>
  (on: Device) => {
    const [input, filter] = [new Tensor(on, x), new Tensor(on, weight)];
    const size = x.slice(2).map((s) => sizeOf(s, weight[2]!, options));
    vjp(
      [input, filter],
      () => conv3d(input, filter, null, options),
      new Tensor(on, [x[0]!, weight[0]!, ...size]),
    );
  };

function sizeOf(
  s: number,
  K: number,
  { stride = 1, padding = stride === 1 ? (K - 1) >> 1 : 0 }: ConvOptions,
) {
  return Math.floor((s + 2 * padding - K) / stride) + 1;
}

/** convTranspose3d of x by weight [I,O,K,K,K]: the forward pass alone. */
const transposed =
  (x: number[], weight: number[], options: ConvTransposeOptions = {}) =>
  (on: Device) =>
    convTranspose3d(new Tensor(on, x), new Tensor(on, weight), null, options);

const up = (a: number, b: number) => Math.ceil(a / b);

test("3³, eight lanes: 8 channels of 8x8 voxels a workgroup; of the weight 4x8 channels and 9 taps, by pairs of rows", () => {
  const operations = 2 * (2 * 3 * 9 * 17) * 19 * 5 * 27;
  const planes = 3 * up(9, 8) * up(17, 8);
  const shares = up(2 * 3 * 9 * 17, 256); // shares of at least 256 voxels
  assert.equal(calls(EIGHT, conv([2, 5, 3, 9, 17], [19, 5, 3, 3, 3])), [
    `conv3dEight/forward ${2 * up(19, 8) * planes} ${operations}`,
    `conv3dEight/forward ${2 * up(5, 8) * planes} ${operations}`,
    `conv3dEight/backwardWeight ${shares * 3 * up(5, 4) * up(19, 8)} ${operations}`,
    `conv3d/sumSplits ${up(19 * 5 * 27, 64)} ${4 * (shares + 1) * 19 * 5 * 27}`,
  ]);
});

test("3³, planes of 4x4: 8 channels of 4 planes a workgroup; of the weight 8x8 channels and 9 taps, by pairs of planes", () => {
  const operations = 2 * (2 * 9 * 3 * 4) * 19 * 5 * 27;
  const shares = 1; // of at least 256 voxels
  assert.equal(calls(LANEWISE, conv([2, 5, 9, 3, 4], [19, 5, 3, 3, 3])), [
    `conv3dNarrow/forward ${2 * up(19, 8) * up(9, 4)} ${operations}`,
    `conv3dNarrow/forward ${2 * up(5, 8) * up(9, 4)} ${operations}`,
    `conv3dRotate/backwardWeight ${shares * 3 * up(5, 8) * up(19, 8)} ${operations}`,
  ]);
});

test("the weight's gradient by columns of 8 voxels where rows are whole quads, else by pairs of rows", () => {
  const operations = (width: number) => 2 * (2 * 3 * 9 * width) * 19 * 5 * 27;
  const gradients = (width: number) => calls(LANEWISE, conv([2, 5, 3, 9, width], [19, 5, 3, 3, 3]))[2];
  const shares = Math.min(2 * 3 * up(20, 8), up(2 * 3 * 9 * 20, 256));
  assert.is(
    gradients(20),
    `conv3dRotate/backwardWeight ${shares * 3 * up(5, 8) * up(19, 8)} ${operations(20)}`,
  );
  assert.match(gradients(18)!, /^conv3dEight\/backwardWeight/);
  const wide = calls(LANEWISE, conv([1, 8, 16, 16, 64], [8, 8, 3, 3, 3]))[2]!;
  const enough = up(2048, 3 * 8); // to fill the cores behind a software adapter
  assert.match(wide, new RegExp(`^conv3dRotate/backwardWeight ${3 * Math.min(16 * 8, 64, enough)} `));
});

test("the kernels of eight lanes and of tiles compute moments, and only for conv3dWithMoments", () => {
  const on = shared.counting();
  const made = (edge: number, options?: ConvOptions, inputs = 5) => {
    const weight = new Tensor(on, [19, inputs, edge, edge, edge]);
    return conv3dWithMoments(new Tensor(on, [2, inputs, 4, 10, 16]), weight, null, options).moments?.shape;
  };
  on.tuning = EIGHT;
  assert.equal(made(3), [2, 19, 4 * up(10, 8) * up(16, 8), 4]);
  assert.not(made(1));
  assert.not(made(2, { stride: 2 }));
  on.tuning = PLAIN;
  assert.not(made(3));
  on.tuning = { ...PLAIN, forward: { kernel: "tile" } };
  assert.equal(made(3), [2, 19, up(4, 2) * up(10, 8) * up(16, 16), 4], "of tiles of 2x8x16");
  assert.not(made(3, undefined, 8), "none where tiles are shared out by input channels");

  on.tuning = EIGHT;
  const [x, weight] = [new Tensor(on, [2, 5, 4, 10, 16]), new Tensor(on, [19, 5, 3, 3, 3])];
  const before = on.bytes;
  const y = conv3d(x, weight);
  assert.is(on.bytes - before, y.bytes, "no moments are left");
});

test("a weight's gradient is summed in shares: of 256 voxels or more, at most one a row, no more than fill a GPU", () => {
  const groups = (tuning: Tuning, x: number[], weight: number[], options?: ConvOptions) =>
    Number(
      calls(tuning, conv(x, weight, options))
        .find((call) => /backwardWeight|pair/.test(call))!
        .split(" ")[1],
    );
  assert.is(groups(PLAIN, [1, 128, 1, 27, 19], [1, 128, 1, 1, 1]), up(up(27 * 19, 256) * 64, 64), "voxels");
  assert.is(groups(PLAIN, [2, 128, 3, 5, 999], [1, 128, 1, 1, 1]), up(2 * 3 * 5 * 64, 64), "rows");
  assert.is(groups(EIGHT, [1, 1, 2, 3, 700], [1, 1, 3, 3, 3]), 2 * up(3, 2) * 3, "pairs of rows");
  const half = { stride: 2 };
  assert.is(groups(EIGHT, [1, 64, 64, 64, 64], [256, 64, 2, 2, 2], half), 16384 / 8, "a GPU");
  assert.is(
    groups(EIGHT, [1, 64, 64, 64, 64], [240, 64, 2, 2, 2], half),
    up(16384, 1920) * (1920 / 8),
    "a GPU",
  );
  assert.is(groups(EIGHT, [1, 64, 64, 64, 64], [512, 64, 2, 2, 2], half), 16384 / 8, "a GPU");
});

test("2³ at stride 2, eight lanes: 16 channels of 8 rows of 4 voxels a workgroup; back 8 of 8 voxels; weights 4x16", () => {
  const operations = 2 * (2 * 3 * 5 * 9) * 33 * 5 * 8;
  const shares = up(2 * 3 * 5 * 9, 256);
  assert.equal(calls(EIGHT, conv([2, 5, 6, 10, 18], [33, 5, 2, 2, 2], { stride: 2 })), [
    `conv3dHalving/gather ${2 * up(33, 16) * up(3 * 5, 8) * up(9, 4)} ${operations}`,
    `conv3dHalving/scatter ${2 * up(5, 8) * 3 * 5 * up(9, 8)} ${operations}`,
    `conv3dHalving/pair ${shares * up(5, 4) * up(33, 16)} ${operations}`,
    `conv3d/sumSplits ${up(33 * 5 * 8, 64)} ${4 * (shares + 1) * 33 * 5 * 8}`,
  ]);
  const odd = calls(EIGHT, conv([2, 5, 7, 10, 18], [33, 5, 2, 2, 2], { stride: 2 }));
  assert.match(odd[1]!, /^convTranspose3d\/forward/, "no window contains the last plane of an odd size");
  for (const options of [{ stride: 2, padding: 1 }, { stride: 1 }]) {
    const [first] = calls(EIGHT, conv([2, 5, 6, 10, 18], [33, 5, 2, 2, 2], options));
    assert.match(first!, /^conv3d\/forward/);
  }
});

test("3³, wider subgroups: 8 channels of 2 rows of 8 voxels each; the plain kernel takes narrow volumes", () => {
  const operations = 2 * (2 * 3 * 7 * 17) * 19 * 5 * 27;
  const [forward] = calls(WIDE, conv([2, 5, 3, 7, 17], [19, 5, 3, 3, 3]));
  const tiles = up(3 * up(7, 2) * up(17, 8), 32) * 32;
  assert.is(forward, `conv3dSubgroups/forward ${(2 * up(19, 8) * tiles) / 32} ${operations}`);
  const kernels = [1, 2, 3].map(
    (width) => calls(WIDE, conv([1, 1, 3, 3, width], [1, 1, 3, 3, 3]))[0]!.split(" ")[0],
  );
  assert.equal(kernels, ["conv3d/forward", "conv3d/forward", "conv3dSubgroups/forward"]);
});

test("the plain kernel: 8 channels of 8 voxels each, or of 4 in narrow volumes", () => {
  const cost = (width: number) => 2 * (2 * 3 * 9 * width) * 19 * 5 * 27;
  const first = (tuning: Tuning, width: number) =>
    calls(tuning, conv([2, 5, 3, 9, width], [19, 5, 3, 3, 3]))[0];
  const groups = (columns: number, WG: number) => up(2 * up(19, 8) * 3 * 9 * columns, WG);
  assert.is(first(PLAIN, 17), `conv3d/forward ${groups(up(17, 8), 64)} ${cost(17)}`);
  assert.is(first(PLAIN, 5), `conv3d/forward ${groups(up(5, 8), 64)} ${cost(5)}`);
  assert.is(first(PLAIN, 4), `conv3d/forward ${groups(1, 64)} ${cost(4)}`);
  assert.is(first(NARROW, 17), `conv3d/forward ${groups(up(17, 4), 32)} ${cost(17)}`);
  const strided = calls(EIGHT, conv([1, 3, 9, 9, 33], [19, 3, 3, 3, 3], { stride: 2, padding: 1 }));
  const operations = 2 * (5 * 5 * 17) * 19 * 3 * 27;
  const shares = up(5 * 5 * 17, 256);
  assert.equal(strided, [
    `conv3d/forward ${up(up(19, 8) * 5 * 5 * up(17, 8), 64)} ${operations}`,
    `convTranspose3d/forward ${up(9 * 9 * 2 * up(33, 16), 64)} ${operations}`,
    `conv3d/backwardWeight ${up(shares * 9 * up(3, 2) * up(19, 8), 64)} ${operations}`,
    `conv3d/sumSplits ${up(19 * 3 * 27, 64)} ${4 * (shares + 1) * 19 * 3 * 27}`,
  ]);
});

test("transposed: eight lanes where it doubles a volume; else 8 channels of 8 voxels that share their taps", () => {
  const x = [2, 5, 3, 4, 9];
  const operations = 2 * (2 * 3 * 4 * 9) * 5 * 19 * 8;
  const run = (tuning: Tuning, options?: ConvTransposeOptions) =>
    calls(tuning, transposed(x, [5, 19, 2, 2, 2], options));
  assert.equal(run(EIGHT), [`conv3dHalving/scatter ${2 * up(19, 8) * 3 * 4 * up(9, 8)} ${operations}`]);
  const plain = (width: number, rows: number) =>
    `convTranspose3d/forward ${up(2 * up(19, 8) * rows * 2 * up(width, 16), 64)} ${operations}`;
  assert.equal(run(PLAIN), [plain(18, 6 * 8)]);
  assert.equal(run(EIGHT, { outputPadding: 1 }), [plain(19, 7 * 9)]);
  const [narrow] = calls(PLAIN, transposed([1, 1, 16, 16, 4], [1, 1, 2, 2, 2]));
  assert.is(narrow, `convTranspose3d/forward ${up(32 * 32 * 2, 64)} ${2 * 16 * 16 * 4 * 8}`);
});

test.run();
