// A network's taps, the rest of the network after one, and its banks of norm parameters.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { tensor, type Tensor } from "../../engine/index.ts";
import { forward } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { vnet, type VnetConfig } from "../../model/networks/vnet.ts";
import { device, random } from "../support/gradcheck.ts";

const TINY: VnetConfig = { modalities: 1, classes: 4, filters: 2, levels: 3, norm: "instance" };

function image(shape: readonly number[]): Tensor {
  return tensor(device, shape, random(shape).data);
}

/** The names of all taps of a network of so many levels. */
const tapsOf = (levels: number) => [
  ...Array.from({ length: levels }, (_, i) => `E_${i + 1}`),
  ...Array.from({ length: levels - 1 }, (_, i) => `D_${i + 1}`),
];

test("taps are the outputs of the levels, down to the bottleneck and up again", () => {
  const params = new Params(device, { seed: 1 });
  const wanted = tapsOf(3);
  const x = image([1, 1, 8, 8, 16]);
  const { taps } = forward({ params, config: TINY }, x, { mode: "eval", taps: wanted });
  const full = [1, 2, 8, 8, 16];
  const half = [1, 4, 4, 4, 8];
  const shapes = { E_1: full, E_2: half, E_3: [1, 8, 2, 2, 4], D_2: half, D_1: full };
  assert.equal(Object.fromEntries(Object.entries(taps).map(([name, t]) => [name, [...t.shape]])), shapes);
  assert.equal(forward({ params, config: TINY }, x, { mode: "eval" }).taps, {});
  for (const tap of ["E_4", "D_3", "E_0", "other"])
    assert.throws(
      () => forward({ params, config: TINY }, x, { mode: "eval", taps: [tap] }),
      new RegExp(`got ${tap}$`),
    );
});

for (const norm of ["instance", "batch"] as const) {
  test(`the rest of the network after any tap gives the same logits, ${norm} norm`, async () => {
    const config: VnetConfig = { ...TINY, levels: 4, norm, deepSupervision: true };
    const params = new Params(device, { seed: 1 });
    const mode = norm === "batch" ? "eval" : "train"; // in training batch norm would move its statistics
    const names = tapsOf(4);
    const whole = forward({ params, config }, image([1, 1, 8, 8, 16]), { mode, taps: names });
    const logits = [...(await whole.logits.read())];
    for (const tap of names) {
      const from = Object.fromEntries(vnet.neededAfter!(tap).map((name) => [name, whole.taps[name]!]));
      const rest = vnet.tail!(params, tap, whole.taps[tap]!, config, { mode, from });
      assert.equal([...(await rest.logits.read())], logits, tap);
      const below = mode === "train" && tap !== "D_1" ? whole.coarse : [];
      assert.is(rest.coarse.length, below.length, tap);
      for (const [i, t] of below.entries())
        assert.equal([...(await rest.coarse[i]!.read())], [...(await t.read())], tap);
    }
    const features = whole.taps["D_2"]!;
    const lacking = () => vnet.tail!(params, "D_2", features, config, { mode, from: {} });
    assert.throws(lacking, /expected the encoder's outputs for the skips after D_2, got none$/);
  });
}

test("each domain has a bank of norm parameters of its own, and all share the kernels", async () => {
  const params = new Params(device, { seed: 1 });
  const x = image([1, 1, 8, 8, 8]);
  const logits = async (domain?: string) => {
    const how = { mode: "eval", ...(domain !== undefined && { domain }) } as const;
    return [...(await forward({ params, config: TINY }, x, how).logits.read())];
  };
  const [own, first] = [await logits("t1"), await logits("t2")];
  assert.equal(own, first); // banks start alike
  const banks = [...params.tensors.keys()].filter((name) => name.startsWith("bank.t1."));
  assert.ok(banks.includes("bank.t1.block_one.conv.1.weight") && banks.length === 2 * 13);
  assert.not(params.tensors.has("block_one.conv.1.weight"));
  params.tensors.get("bank.t1.block_one.conv.1.bias")!.write([1, -1]);
  assert.not.equal(await logits("t1"), own);
  assert.equal(await logits("t2"), first);
});

test.run();
