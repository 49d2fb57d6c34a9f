// The results of ops where their formulas have no value, as their doc comments promise.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { conv3d } from "../../engine/ops/conv3d.ts";
import { convTranspose3d } from "../../engine/ops/convTranspose3d.ts";
import { cosineMaps } from "../../engine/ops/cosineMaps.ts";
import { crossEntropy } from "../../engine/ops/crossEntropy.ts";
import { diceLoss } from "../../engine/ops/diceLoss.ts";
import { fill } from "../../engine/ops/fill.ts";
import { klDivergence } from "../../engine/ops/klDivergence.ts";
import { leakyRelu, leakyReluSlope, relu } from "../../engine/ops/activations.ts";
import { meanSquaredError } from "../../engine/ops/meanSquaredError.ts";
import { segmentationLosses } from "../../engine/ops/segmentationLosses.ts";
import { grad, vjp } from "../../engine/autograd/tape.ts";
import { type Tensor, tensor } from "../../engine/autograd/tensor.ts";
import { device, random, randomLabels } from "../support/gradcheck.ts";

test("crossEntropy with all weights 0: 0, and gradient 0", async () => {
  const shape = [2, 3, 1, 2, 2];
  const logits = tensor(device, shape, random(shape).data);
  const label = tensor(device, [2, 1, 2, 2], randomLabels([2, 1, 2, 2], 3).data);
  const weight = tensor(device, [3], [0, 0, 0]);
  const { loss, grads } = grad([logits], () => crossEntropy(logits, label, weight));
  assert.is(await loss.item(), 0);
  assert.ok((await grads[0]!.read()).every((value) => value === 0));
});

test("grad ignores what a function computes in vain", async () => {
  const x = tensor(device, [2], [3, -4]);
  const target = tensor(device, [2], [0, 0]);
  const { grads } = grad([x], () => {
    relu(x);
    return meanSquaredError(x, target);
  });
  assert.equal([...(await grads[0]!.read())], [3, -4]);
});

test("conv3d and convTranspose3d keep the size at stride 1 by default, and else have no padding", () => {
  const x = fill(device, [1, 1, 4, 5, 6], 0);
  const weight = (edge: number) => fill(device, [1, 1, edge, edge, edge], 0);
  const sizes = (y: Tensor) => y.shape.slice(2).join();
  const down = [2, 3, 4].map((edge) => sizes(conv3d(x, weight(edge), null, { stride: 2 })));
  assert.equal(down, ["2,2,3", "1,2,2", "1,1,2"]);
  assert.equal(
    [1, 2, 3].map((edge) => sizes(conv3d(x, weight(edge)))),
    ["4,5,6", "3,4,5", "4,5,6"],
  );
  assert.equal(
    [2, 3].map((edge) => sizes(convTranspose3d(x, weight(edge)))),
    ["8,10,12", "9,11,13"],
  );
});

test("leakyRelu and relu have at 0 the slope of the negative side, as in PyTorch", async () => {
  const x = tensor(device, [1], [0]);
  const slopeOf = async (f: (x: Tensor) => Tensor) => (await grad([x], () => f(x)).grads[0]!.read())[0];
  assert.is(await slopeOf((x) => leakyRelu(x, 0.5)), 0.5);
  assert.is(await slopeOf(relu), 0);
  assert.is(await slopeOf((g) => leakyReluSlope(g, x, 0.5)), 0.5);
});

test("fill writes all elements and none beside, also beyond a workgroup", async () => {
  for (const size of [1, 1023, 1024, 1025, 5000]) {
    const y = [...(await fill(device, [size], 3).read())];
    assert.ok(y.length === size && y.every((value) => value === 3), `${size}`);
  }
});

test("relu of values not above 0 is exactly 0, and of NaN NaN", async () => {
  const bits = Uint32Array.of(0x80000000, 0x80000001, 0xff800000, 0xff800001, 0xffc00000);
  const x = tensor(device, [5], new Float32Array(bits.buffer));
  const y = [...(await relu(x).read())];
  [0, 0, 0, NaN, NaN].forEach((want, i) =>
    assert.ok(Object.is(y[i], want), `${bits[i]!.toString(16)}: ${y[i]}`),
  );
});

test("leakyRelu refuses a slope that is not positive", () => {
  const x = tensor(device, [1], [1]);
  for (const slope of [0, -1, NaN]) assert.throws(() => leakyRelu(x, slope), /slope must be positive, got/);
});

test("diceLoss and segmentationLosses have smoothing 1e-5 and temperature 10 by default", async () => {
  const [logits, targets] = [1, 2].map((seed) =>
    tensor(device, [1, 3, 1, 2, 2], random([12], { seed }).data),
  );
  const label = tensor(device, [1, 1, 2, 2], [0, 0, 1, 1]); // one class is absent: its term is smoothing only
  assert.is(await diceLoss(logits!, label).item(), await diceLoss(logits!, label, 1e-5).item());
  const read = async ({ dice, divergence }: ReturnType<typeof segmentationLosses>) => [
    await dice.item(),
    await divergence!.item(),
  ];
  const said = { targets: targets!, temperature: 10, smooth: 1e-5 };
  assert.equal(
    await read(segmentationLosses(logits!, label, { targets: targets! })),
    await read(segmentationLosses(logits!, label, said)),
  );
});

test("klDivergence has the paper's temperature 10 by default", async () => {
  const [a, b] = [1, 2].map((seed) => tensor(device, [1, 3, 1, 1, 2], random([6], { seed }).data));
  assert.is(await klDivergence(a!, b!).item(), await klDivergence(a!, b!, 10).item());
});

test("cosineMaps with a product of lengths equal to eps is as with a larger one", async () => {
  const features = tensor(device, [1, 2, 1, 1, 1], [1, 0]);
  const prototypes = tensor(device, [1, 1, 2], [1, 0]);
  const { grads } = vjp(
    [features],
    () => cosineMaps(features, prototypes, 1),
    tensor(device, [1, 1, 1, 1, 1], [1]),
  );
  assert.equal([...(await grads[0]!.read())], [0, 0]); // the cosine is at its maximum
});

test.run();
