import { test } from "uvu";
import * as assert from "uvu/assert";
import { grad, record } from "../../engine/autograd/tape.ts";
import { free, keep, pack, scope, tensor, Tensor } from "../../engine/autograd/tensor.ts";
import { leakyRelu } from "../../engine/ops/activations.ts";
import { fill } from "../../engine/ops/fill.ts";
import { meanSquaredError } from "../../engine/ops/meanSquaredError.ts";
import { add } from "../../engine/ops/add.ts";
import { samples } from "../../engine/ops/samples.ts";
import { stack } from "../../engine/ops/stack.ts";
import { weightedSum } from "../../engine/ops/weightedSum.ts";
import { shader } from "../../engine/gpu/shader.ts";
import { device } from "../support/gradcheck.ts";

const meanSquare = (x: Tensor) => meanSquaredError(x, fill(x.device, x.shape, 0));

const plus = await shader("add");
test("an activation is recycled after its backward pass", () => {
  const x = keep(tensor(device, [2], [1, 2]));
  let hidden!: Tensor;
  grad([x], () => meanSquare((hidden = leakyRelu(x))));
  assert.throws(() => hidden.buffer, /\[2\] was freed/);
});
test("scope refuses async functions", () => {
  assert.throws(() => scope((async () => {}) as never), /synchronous/);
});
test("a step leaves no bytes behind", () => {
  const x = keep(tensor(device, [64], Array(64).fill(1)));
  const before = device.bytes;
  scope(() => {
    leakyRelu(x);
  });
  assert.is(device.bytes, before);
});
test("scopes around layers free intermediates in inference and are harmless under grad", async () => {
  const x = keep(
    tensor(
      device,
      [256],
      Array.from({ length: 256 }, (_, i) => i - 128),
    ),
  );
  const layer = (t: Tensor) => scope(() => leakyRelu(leakyRelu(leakyRelu(t))));
  const start = device.bytes;
  device.peakBytes = start;
  scope(() => {
    layer(layer(layer(x)));
  });
  assert.is(device.bytes, start);
  const scoped = device.peakBytes - start;
  device.peakBytes = start;
  const flat = (t: Tensor) => leakyRelu(leakyRelu(leakyRelu(t)));
  scope(() => {
    flat(flat(flat(x)));
  });
  assert.ok(scoped < device.peakBytes - start, `${scoped} < ${device.peakBytes - start}`);
  const a = grad([x], () => meanSquare(layer(layer(x)))),
    b = grad([x], () => meanSquare(flat(flat(x))));
  assert.equal([...(await a.grads[0]!.read())], [...(await b.grads[0]!.read())]);
  const { p, q } = scope(() => ({ p: leakyRelu(x), q: leakyRelu(x) }));
  assert.is((await p.read()).length + (await q.read()).length, 512);
});
test("a tensor that a pullback reads survives its scope; the program's tensors survive grad", async () => {
  const w = tensor(device, [4], [1, 2, 3, 4]);
  const before = device.bytes;
  const { loss, grads } = grad([w], () =>
    meanSquare(
      scope(() => {
        const saved = leakyRelu(tensor(device, [4], [5, 6, 7, 8]));
        const y = new Tensor(device, [4]);
        plus.forward({ a: w, b: saved, y }, 4);
        return record(
          y,
          [
            [
              w,
              () => {
                const dw = new Tensor(device, [4]);
                plus.forward({ a: saved, b: saved, y: dw }, 4);
                return dw;
              },
            ],
          ],
          [saved],
        );
      }),
    ),
  );
  assert.equal([...(await grads[0]!.read())], [10, 12, 14, 16]);
  assert.equal([...(await w.read())], [1, 2, 3, 4]);
  free(loss);
  grads.forEach(free);
  assert.is(device.bytes, before);
});
test("a throwing step leaves no bytes behind", () => {
  const w = tensor(device, [64], Array(64).fill(1));
  const before = device.bytes;
  assert.throws(
    () =>
      scope(() => {
        grad([w], () => {
          leakyRelu(leakyRelu(w));
          throw new Error("boom");
        });
      }),
    /boom/,
  );
  assert.is(device.bytes, before);
});
test("gradients of a tensor that is read several times add up, and are not recycled early", async () => {
  const w = tensor(device, [3], [1, 2, 3]);
  const before = device.bytes;
  const { loss, grads } = grad([w], () => {
    const a = leakyRelu(w);
    return meanSquare(add(add(a, a), a));
  });
  assert.equal([...(await grads[0]!.read())], [6, 12, 18]);
  free(loss);
  grads.forEach(free);
  assert.is(device.bytes, before);
});
test("a sum of many terms keeps only its result, and only its gradients", async () => {
  const xs = Array.from({ length: 20 }, (_, i) => keep(tensor(device, [], [i])));
  const sum = () => weightedSum(xs.map((x) => [2, x] as const));
  const before = device.bytes;
  const y = scope(sum);
  assert.is(device.bytes - before, 16, "one scalar");
  assert.is(await y.item(), 380);
  free(y);
  const { loss, grads } = grad(xs, sum);
  for (const gradient of grads) assert.is(await gradient.item(), 2);
  assert.is(device.bytes - before, 16 * 21, "the sum and 20 gradients");
  [loss, ...grads, ...xs].forEach(free);
});
test("samples and stack of views that begin within a buffer have their own values", async () => {
  const [a, b] = [10, 20].map((from) =>
    keep(
      tensor(
        device,
        [2, 3],
        Float32Array.from({ length: 6 }, (_, i) => from + i),
      ),
    ),
  ) as [Tensor, Tensor];
  const whole = pack([a, b]);
  assert.is(b.storage.offset, 256);
  assert.equal([...(await samples(b, 1, 2).read())], [23, 24, 25]);
  assert.equal([...(await stack([b, a]).read())], [20, 21, 22, 23, 24, 25, 10, 11, 12, 13, 14, 15]);
  [a, b].forEach(free);
  assert.ok(whole);
});

test.run();
