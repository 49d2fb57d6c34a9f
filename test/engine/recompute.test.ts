// Gradient checkpointing: the same bits, in less memory.

import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  add,
  batchNorm,
  conv3d,
  conv3dWithMoments,
  free,
  grad,
  instanceNormRelu,
  keep,
  meanSquaredError,
  recompute,
  relu,
  scope,
  tensor,
  type Tensor,
  vjp,
  weightedSum,
} from "../../engine/index.ts";
import { device, random } from "../support/gradcheck.ts";

const upload = ({ shape, data }: ReturnType<typeof random>) => keep(tensor(device, shape, data));
const values = (tensors: readonly Tensor[]) => Promise.all(tensors.map(async (t) => [...(await t.read())]));

test("recompute() gives the same bits for the gradients of inputs, skips and parameters", async () => {
  const x = upload(random([1, 3, 5, 7, 9]));
  const [first, second] = [1, 2].map((seed) => upload(random([3, 3, 3, 3, 3], { seed }))) as [Tensor, Tensor];
  const [weight, bias] = [3, 4].map((seed) => upload(random([3], { seed }))) as [Tensor, Tensor];
  const cotangent = upload(random([1, 3, 5, 7, 9], { seed: 5 }));
  const block = (input: Tensor, skip: Tensor) => {
    const { y, moments } = conv3dWithMoments(input, first);
    return add(conv3d(instanceNormRelu(y, weight, bias, { skip, moments }), second, null), input);
  };
  const run = (around: (inputs: Tensor[], f: () => Tensor) => Tensor) =>
    vjp(
      [x, first, second, weight, bias],
      () => {
        const a = around([x], () => block(x, x));
        const { y: b, moments } = conv3dWithMoments(a, first); // moments are an input of the next function
        const inputs = moments ? [b, moments, x] : [b, x];
        return around(inputs, () => block(instanceNormRelu(b, weight, bias, { moments }), x));
      },
      cotangent,
    );
  const kept = run((_, f) => f());
  const again = run(recompute);
  assert.equal(await values([again.output]), await values([kept.output]));
  const [found, wanted] = [await values(again.grads), await values(kept.grads)];
  // The parts of the gradient of an input that a block reads twice are added in another order.
  assert.equal(found.slice(1), wanted.slice(1));
  for (const [i, value] of wanted[0]!.entries())
    assert.ok(Math.abs(found[0]![i]! - value) <= 1e-5 * Math.abs(value) + 1e-5, `${found[0]![i]}, ${value}`);
});

test("recompute() works without a tape and nested; an input without influence has gradient 0", async () => {
  const [x, y] = [1, 2].map((seed) => upload(random([4, 5], { seed }))) as [Tensor, Tensor];
  assert.equal(await values([recompute([x], () => relu(x))]), await values([relu(x)]));
  const squares = (t: Tensor) => meanSquaredError(t, y);
  const inner = () => recompute([x], () => relu(add(x, x)));
  const nested = grad([x], () => squares(recompute([x], () => add(inner(), inner()))));
  const flat = grad([x], () => squares(add(relu(add(x, x)), relu(add(x, x)))));
  assert.equal(await values(nested.grads), await values(flat.grads));

  const unused = () => {
    relu(y); // read, without influence
    return relu(x);
  };
  const { grads } = grad([x, y], () => weightedSum([[1, meanSquaredError(recompute([x, y], unused), x)]]));
  assert.equal(await values([grads[1]!]), [Array(20).fill(0)]);
  assert.ok((await values([grads[0]!]))[0]!.some((value) => value !== 0));
});

test("recompute() frees intermediates at once, and its inputs after the backward pass", () => {
  const x = upload(random([1, 2, 16, 16, 16]));
  const bytes = 4 * x.size;
  const at = (count: number) => {
    const before = device.bytes;
    let held = 0;
    const run = () => {
      let y = add(x, x);
      for (let i = 0; i < count; i++) {
        const input = y;
        y = recompute([input], () => relu(add(relu(relu(input)), input)));
      }
      const loss = meanSquaredError(y, x);
      return loss;
    };
    const { loss, grads } = grad([x], () => {
      const loss = scope(run);
      held = device.bytes - before;
      return loss;
    });
    [loss, ...grads].forEach(free);
    assert.is(device.bytes, before, "nothing is left");
    return held;
  };
  assert.is(at(3) - at(1), 2 * bytes); // one result each
});

test("the backward pass holds only those recomputed tensors that it reads", () => {
  const x = upload(random([1, 2, 16, 16, 16]));
  const output = tensor(device, x.shape, new Float32Array(x.size));
  const before = device.bytes;
  device.peakBytes = before;
  const { grads } = vjp([x], () => recompute([x], () => add(relu(relu(relu(x))), x)), output);
  // The output, three results that relu's pullbacks read, and the recomputed sum, or a gradient in its place.
  assert.is(device.peakBytes - before, 5 * 4 * x.size);
  grads.forEach(free);
});

test("recomputed batch norm moves its running statistics once", async () => {
  const x = upload(random([2, 3, 2, 2, 2]));
  const [weight, bias] = [1, 2].map((seed) => upload(random([3], { seed }))) as [Tensor, Tensor];
  const moved = async (around: (f: () => Tensor) => Tensor) => {
    const running = { mean: upload(random([3], { seed: 3 })), variance: upload(random([3], { seed: 4 })) };
    const { grads } = vjp([x], () => around(() => relu(batchNorm(x, weight, bias, running))), x);
    return values([running.mean, running.variance, ...grads]);
  };
  const once = await moved((f) => f());
  assert.not.equal(once[0], await values([upload(random([3], { seed: 3 }))]).then(([mean]) => mean));
  assert.equal(await moved((f) => recompute([x], f)), once);
  assert.equal(await moved((f) => f()), once, "and moves them afterwards");
});

test.run();
