// The engine in one page: a tensor, an op, a gradient, a step of an optimizer, and one read at the end.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { free, grad, keep, meanSquaredError, relu, scope, Sgd, tensor } from "../../engine/index.ts";
import { close, device } from "../support/gradcheck.ts";

test("one op, one gradient, one step, one read", async () => {
  // Parameters are kept: they outlive the scopes in which they are used.
  const weight = keep(tensor(device, [4], [-1, 0.5, 1, 2]));
  const target = tensor(device, [4], [3, 3, 3, 3]);
  const optimizer = new Sgd([weight], { momentum: 0, decay: 0 });

  // grad() runs its function once, on a tape, and sweeps back over it. The scope frees all tensors made in
  // it, gradients too, except those it returns.
  const loss = scope(() => {
    const { loss, grads } = grad(optimizer.params, () => meanSquaredError(relu(weight), target));
    optimizer.step(grads, 0.1);
    return loss;
  });

  // So far everything was only recorded. Reading submits it to the GPU and waits.
  close([await loss.item()], [(3 ** 2 + 2.5 ** 2 + 2 ** 2 + 1 ** 2) / 4], 1e-6, "loss");
  // weight - 0.1 · dloss/dweight; relu lets no gradient through where its input is negative.
  close(await weight.read(), [-1, 0.5 + 0.1 * 1.25, 1 + 0.1 * 1, 2 + 0.1 * 0.5], 1e-6, "weight");
  [loss, target].forEach(free);
});

test("the loss falls with the steps", async () => {
  const weight = keep(tensor(device, [2], [1, 2]));
  const target = tensor(device, [2], [5, 1]);
  const optimizer = new Sgd([weight], { momentum: 0, decay: 0 });
  const step = () =>
    scope(() => {
      const { loss, grads } = grad([weight], () => meanSquaredError(weight, target));
      optimizer.step(grads, 0.5);
      return loss;
    });
  const losses = Array.from({ length: 5 }, step);
  const values = await Promise.all(losses.map((loss) => loss.item()));
  close(values, [8.5, 2.125, 2.125 / 4, 2.125 / 16, 2.125 / 64], 1e-6, "each step halves the distance");
  assert.is(optimizer.steps, 5);
});

test.run();
