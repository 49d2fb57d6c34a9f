// Wrong calls of a kernel, which the types generated from the .wgsl files refuse: tsc fails here if they stop
// doing so. Callers without types get an error that says the same.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { constantsOf, declarationsOf } from "../../engine/gpu/declarations.ts";
import { shader } from "../../engine/gpu/shader.ts";
import { tensor } from "../../engine/autograd/tensor.ts";
import { device } from "../support/gradcheck.ts";

const activations = await shader("activations");
const fill = await shader("fill");
const softmax = await shader("softmax");
const x = tensor(device, [4], [1, 2, 3, 4]);
const y = tensor(device, [4], [0, 0, 0, 0]);

test("a missing binding is refused", () => {
  // @ts-expect-error: y is missing
  const call = () => fill.forward({ value: 1 }, 4);
  assert.throws(call, /fill.wgsl\/forward: 'y' must be a tensor, got undefined/);
});

test("a missing uniform is refused", () => {
  // @ts-expect-error: voxels is missing
  const call = () => softmax.forward({ x, y, channels: 4 }, 1);
  assert.throws(call, /softmax.wgsl\/forward: 'voxels' must be a number/);
});

test("a misspelt name is refused with a list of the known ones", () => {
  // @ts-expect-error: it is value
  const call = () => fill.forward({ y, valu: 0.2 }, 4);
  assert.throws(call, /unknown 'valu'; the file declares WG, EACH, y, value/);
});

test("a missing override is refused, though only a function that the entry point calls uses it", () => {
  // @ts-expect-error: activation is missing
  const call = () => activations.forward({ x, y }, 4);
  assert.throws(call, /activations.wgsl\/forward: override 'activation' has no value/);
});

test("a number for a tensor is refused", () => {
  // @ts-expect-error: y is a tensor
  assert.throws(() => fill.forward({ y: 3, value: 1 }, 4), /'y' must be a tensor, got 3/);
});

test("a tensor for a number is refused", () => {
  // @ts-expect-error: channels is a number
  assert.throws(() => softmax.forward({ x, y, channels: x, voxels: 1 }, 1), /'channels' must be a number/);
});

test("a missing grid is refused", () => {
  // @ts-expect-error: the number of invocations is missing
  assert.throws(() => fill.forward({ y, value: 1 }));
});

test("an entry point that the shader does not have is refused", () => {
  // @ts-expect-error: fill has forward
  assert.is(fill.sideways, undefined);
});

test("the constants of a shader are its consts that are numbers and its overrides' defaults", async () => {
  const { constants } = await shader("segmentationLosses");
  assert.equal(constants, { WG: 64, CHUNK: 4096, TILE: 512, NONE: Math.fround(-1e30), SUMS: 17 });
  // @ts-expect-error: it has no such constant
  assert.is(constants.CHUNKS, undefined);
  // @ts-expect-error: nor a number for an override without a default
  assert.is(constants.classes, undefined);
  const code =
    "const A = 4u; const B = A * 8u - 2u; const V = vec2f(1, 2); override flag = true; override none: f32;";
  assert.equal(constantsOf(declarationsOf(code)), { A: 4, B: 30, flag: 1 });
});

test("a shader that does not exist is refused", async () => {
  let message = "";
  // @ts-expect-error: there is no such shader
  await shader("fil").catch((error: Error) => (message = error.message));
  assert.match(message, /fil.wgsl/);
});

test.run();
