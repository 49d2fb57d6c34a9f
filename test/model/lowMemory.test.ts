// Networks that are trained in low memory compute their blocks again in the backward pass, to the same bits.

import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  batchNorm,
  grad,
  keep,
  meanSquaredError,
  recompute,
  scope,
  tensor,
  vjp,
  type Tensor,
} from "../../engine/index.ts";
import { initialise, type Network } from "../../model/networks/network.ts";
import { forwardBatch } from "../../model/networks/parts.ts";
import { Params } from "../../model/networks/params.ts";
import { device, random } from "../support/gradcheck.ts";
import { student, trained } from "../support/training.ts";

const upload = ({ shape, data }: ReturnType<typeof random>) => keep(tensor(device, shape, data));
const values = (tensors: readonly Tensor[]) => Promise.all(tensors.map(async (t) => [...(await t.read())]));

for (const norm of ["instance", "batch"] as const) {
  test(`a network with ${norm} norm that is trained in low memory ends with the same bits, running statistics too`, async () => {
    const network = (lowMemory: boolean): Network => {
      const params = new Params(device, { seed: 4 });
      return { params, lowMemory, config: { modalities: 1, classes: 4, filters: 2, levels: 3, norm } };
    };
    const run = (lowMemory: boolean) => runs(network(lowMemory), student());
    const [kept, again] = [await run(false), await run(true)];
    assert.equal(again, kept);
    if (norm === "batch") assert.ok(Object.keys(kept).some((name) => name.endsWith("running_mean")));
  });
}

test("a batch that runs in parts is computed again from the same parts", async () => {
  const x = upload(random([3, 1, 8, 8, 16]));
  const run = (lowMemory: boolean) => {
    const params = new Params(device, { seed: 4 });
    const config = { modalities: 1, classes: 4, filters: 2, levels: 3, norm: "instance" } as const;
    const network = { params, config, lowMemory };
    initialise(device, network, [8, 8, 16]);
    const zeros = keep(tensor(device, [3, 4, 8, 8, 16], new Float32Array(12288)));
    const logits = () => forwardBatch(network, x, { mode: "train" }, 2).logits;
    return values(grad(params.trained, () => meanSquaredError(logits(), zeros)).grads);
  };
  assert.equal(await run(true), await run(false));
});

test("batch norm: a repetition leaves the running statistics alone", async () => {
  const x = upload(random([2, 3, 4, 5, 6]));
  const [weight, bias, mean, variance] = [1, 2, 3, 4].map(() => upload(random([3])));
  const running = { mean: mean!, variance: variance! };
  const once = () => batchNorm(x, weight!, bias!, running);
  scope(once);
  const after = await values([mean!, variance!]);
  [mean!, variance!].forEach((t) => t.write(random([3]).data));
  vjp([x], () => recompute([x], once), x);
  assert.equal(await values([mean!, variance!]), after);
});

async function runs(network: Network, options: ReturnType<typeof student>) {
  const read: Record<string, number[]> = {};
  for (const [name, { data }] of Object.entries(await trained({ network, ...options })))
    read[name] = [...data];
  return read;
}

test.run();
