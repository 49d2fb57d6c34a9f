// The network's shapes, names and refusals. The golden tests compare its numbers with PyTorch's.

import { existsSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Random, scope, type Tensor, tensor } from "../../engine/index.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import { FEATURES } from "../../model/losses/losses.ts";
import type { Mode } from "../../model/networks/architecture.ts";
import { forward } from "../../model/networks/network.ts";
import { Params, type Values } from "../../model/networks/params.ts";
import { VNET, type VnetConfig } from "../../model/networks/vnet.ts";
import { device } from "../support/gradcheck.ts";

const TINY: VnetConfig = { modalities: 1, classes: 4, filters: 2, levels: 3, norm: "instance" };

/** Normal values. */
function image(shape: readonly number[], seed = 1): Tensor {
  const random = new Random(seed);
  return tensor(
    device,
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
  );
}

/** Features and logits of one forward pass on a patch of that size, and the parameters that it made. */
function run(
  config: VnetConfig,
  size: readonly number[],
  mode: Mode = "eval",
  params = new Params(device, { seed: 1 }),
) {
  const x = image([1, config.modalities, ...size]);
  const { logits, taps } = forward({ params, config }, x, { mode, taps: [FEATURES] });
  return { params, logits, features: taps[FEATURES]! };
}

for (const [modalities, count] of [
  [1, 9_446_820],
  [4, 9_448_116],
] as const) {
  test(`with ${modalities} of the modalities it has as many parameters as published`, () => {
    const { params } = run({ ...VNET, modalities }, [16, 16, 32]);
    assert.is(params.count, count);
    params.free();
  });
}

test("its tensors have the names and shapes of the published checkpoints", () => {
  const { params } = run({ ...VNET, modalities: 4, filters: 8, norm: "batch" }, [16, 16, 32]);
  const shapes = Object.fromEntries([...params.tensors].map(([name, t]) => [name, [...t.shape]]));
  const some = {
    "block_one.conv.0.weight": [8, 4, 3, 3, 3],
    "block_one.conv.1.running_var": [8],
    "block_one_dw.conv.0.weight": [16, 8, 2, 2, 2],
    "block_one_dw.conv.0.bias": [16],
    "block_five.conv.6.weight": [128, 128, 3, 3, 3],
    "block_five_up.conv.0.weight": [128, 64, 2, 2, 2],
    "block_eight.conv.3.weight": [16, 16, 3, 3, 3],
    "block_eight_up.conv.1.bias": [8],
    "block_nine.conv.0.weight": [8, 8, 3, 3, 3],
    "out_conv.weight": [4, 8, 1, 1, 1],
    "out_conv.bias": [4],
  };
  for (const [name, shape] of Object.entries(some)) assert.equal(shapes[name], shape, name);
  // 21 convolutions of 3³ without bias, 8 of 2³ and the head with one; a norm after all but the head
  assert.is(Object.keys(shapes).length, 21 + 2 * (8 + 1) + 4 * (21 + 8));
  params.free();
});

const golden = new URL("../../../shared/golden/vnet.safetensors", import.meta.url);
const title = "its tensors are those of a published checkpoint, no more and no fewer";
if (!existsSync(golden)) console.log(`SKIPPED: ${title}: ../shared/golden is missing`);
else {
  for (const norm of ["instance", "batch"] as const) {
    test(`${title}, ${norm} norm`, () => {
      const prefix = `${norm}.student.`;
      const theirs = Object.entries(decodeSafetensors(readFileSync(golden), "vnet.safetensors").tensors)
        .filter(([name]) => name.startsWith(prefix) && !name.endsWith(".num_batches_tracked"))
        .map(([name, { shape }]) => `${name.slice(prefix.length)} [${shape}]`);
      const filters = Number(/^out_conv.weight \[4,(\d+),/m.exec(theirs.join("\n"))![1]);
      const { params } = run({ ...VNET, modalities: 1, filters, norm }, [16, 16, 32]);
      assert.equal([...params.tensors].map(([name, t]) => `${name} [${t.shape}]`).sort(), theirs.sort());
      params.free();
    });
  }
}

test("features are of the last block's width and never negative; logits are one a class", async () => {
  const { features, logits } = run({ ...TINY, classes: 3 }, [8, 4, 12]);
  assert.equal([...features.shape], [1, 2, 8, 4, 12]);
  assert.equal([...logits.shape], [1, 3, 8, 4, 12]);
  const values = await features.read();
  assert.ok(values.every((value) => value >= 0) && values.some((value) => value > 0));
  assert.ok((await logits.read()).every(Number.isFinite));
});

test("filters, levels and modalities are settings", () => {
  for (const [filters, levels, modalities, edge] of [
    [3, 2, 2, 4],
    [1, 4, 1, 16],
    [5, 3, 4, 8],
  ] as const) {
    const { features, logits, params } = run({ ...TINY, filters, levels, modalities }, [edge, edge, edge]);
    assert.equal([...features.shape], [1, filters, edge, edge, edge]);
    assert.is(logits.shape[1], 4);
    params.free();
  }
});

test("the samples of a batch do not see each other with instance norm", async () => {
  const params = new Params(device, { seed: 1 });
  const [a, b] = [image([1, 1, 4, 4, 8], 1), image([1, 1, 4, 4, 8], 2)];
  const both = tensor(device, [2, 1, 4, 4, 8], [...(await a.read()), ...(await b.read())]);
  const logits = async (x: Tensor) => [
    ...(await forward({ params, config: TINY }, x, { mode: "eval" }).logits.read()),
  ];
  assert.equal(await logits(both), [...(await logits(a)), ...(await logits(b))]);
});

test("a patch that cannot be halved often enough is refused", () => {
  const why = /patch: 3 levels need three multiples of 4, not all 4 themselves, got/;
  for (const size of [
    [6, 8, 8],
    [8, 8, 2],
    [4, 4, 4],
  ]) {
    assert.throws(() => run(TINY, size), why);
  }
  assert.throws(
    () => run({ ...VNET, modalities: 1 }, [24, 32, 32]),
    /5 levels need three multiples of 16.* got 24,32,32/,
  );
  assert.is(run(TINY, [4, 4, 8]).logits.size, 4 * 4 * 4 * 8);
});

test("another number of modalities, or of levels, than the network can have is refused", () => {
  const x = image([1, 3, 8, 8, 8]);
  const params = new Params(device, { seed: 1 });
  const given = (x: Tensor) => forward({ params, config: TINY }, x, { mode: "eval" });
  assert.throws(() => given(x), /^vnet: expected an input \[N,1,D,H,W\], got \[1,3,8,8,8\]$/);
  assert.throws(() => given(image([1, 8, 8, 8])), /got \[1,8,8,8\]$/);
  for (const levels of [1, 7]) {
    const why = new RegExp(`^vnet: levels must be 2 to 6, got ${levels}$`);
    assert.throws(() => run({ ...TINY, levels }, [64, 64, 64]), why);
  }
  assert.is(params.tensors.size, 0, "nothing was made");
});

test("equal seeds give equal parameters, other seeds others", async () => {
  const values = async (seed: number) =>
    await run(TINY, [8, 8, 8], "eval", new Params(device, { seed })).params.read();
  const [one, again, other] = [await values(1), await values(1), await values(2)];
  for (const [name, { data }] of Object.entries(one)) {
    assert.equal(data, again[name]!.data, name);
    if (name.endsWith("conv.0.weight")) assert.not.equal(data, other[name]!.data, name);
  }
});

test("a parameter's first value depends on its name and the seed alone, not on other parameters", async () => {
  const small = await run(TINY, [8, 8, 8]).params.read();
  const large = await run({ ...TINY, levels: 4, norm: "batch" }, [8, 8, 16]).params.read();
  assert.equal(small["block_two.conv.3.weight"], large["block_two.conv.3.weight"]);
  assert.not.equal(small["block_two.conv.0.weight"]!.data, small["block_two.conv.3.weight"]!.data);
});

test("convolutions start uniform in ±1/√fan, norms as the identity", async () => {
  const { params } = run({ ...TINY, filters: 8 }, [8, 8, 8]);
  const values = await params.read();
  const { data } = values["block_two.conv.0.weight"]!;
  const bound = 1 / Math.sqrt(16 * 27);
  assert.ok(data.every((value) => Math.abs(value) <= bound));
  const variance = data.reduce((sum, value) => sum + value ** 2, 0) / data.length;
  assert.ok(Math.abs(variance / (bound ** 2 / 3) - 1) < 0.05, `${variance}`);
  assert.ok(values["block_two.conv.1.weight"]!.data.every((value) => value === 1));
  assert.ok(values["block_two.conv.1.bias"]!.data.every((value) => value === 0));
});

test("a checkpoint's values become the network's; its logits are the same", async () => {
  const config: VnetConfig = { ...TINY, norm: "batch" };
  const first = run(config, [8, 8, 8], "train");
  const values = await first.params.read();
  const again = run(config, [8, 8, 8], "eval", new Params(device, { values }));
  again.params.checkUsed();
  assert.equal(await again.params.read(), values);
  const { logits } = run(config, [8, 8, 8], "eval", first.params);
  assert.equal(await again.logits.read(), await logits.read());
});

test("a checkpoint of another network is refused: a tensor is missing, of another shape, or one too many", async () => {
  const values = await run(TINY, [8, 8, 8]).params.read();
  const load = (changed: Record<string, Values>, config = TINY) => {
    const { params } = run(config, [8, 8, 16], "eval", new Params(device, { values: changed }));
    params.checkUsed();
  };
  const { "out_conv.bias": _, ...rest } = values;
  assert.throws(() => load(rest), /^of another network: it has no out_conv\.bias, which should be \[4\]$/);
  assert.throws(
    () => load(values, { ...TINY, classes: 3 }),
    /^of another network: expected out_conv\.weight to be \[3,2,1,1,1\], got \[4,2,1,1,1\]$/,
  );
  assert.throws(() => load(values, { ...TINY, levels: 4 }), /it has no block_three_dw\.conv\.0\.weight/);
  assert.throws(
    () => load({ ...values, "block_ten.bias": values["out_conv.bias"]!, odd: values["out_conv.bias"]! }),
    /^of another network, which also has block_ten\.bias, odd$/,
  );
  load(values);
});

test("batch norm's running statistics move when it trains, and only then", async () => {
  const config: VnetConfig = { ...TINY, norm: "batch" };
  const { params } = run(config, [8, 8, 8]);
  const statistics = async () =>
    Object.entries(await params.read()).filter(([name]) => /running_(mean|var)$/.test(name));
  const start = await statistics();
  assert.is(start.length, 2 * 13);
  for (const [name, { data }] of start)
    assert.ok(
      data.every((value) => value === (name.endsWith("var") ? 1 : 0)),
      name,
    );
  run(config, [8, 8, 8], "eval", params);
  assert.equal(await statistics(), start);
  run(config, [8, 8, 8], "train", params);
  for (const [i, [name, { data }]] of (await statistics()).entries())
    assert.not.equal(data, start[i]![1].data, name);
  assert.ok(
    !params.trained.some((t) => [...params.tensors].find(([, other]) => other === t)![0].includes("running")),
  );
});

test("a network that is freed gives its bytes back", () => {
  const before = device.bytes;
  scope(() => {
    run(TINY, [8, 8, 8]).params.free();
  });
  assert.is(device.bytes, before);
});

test.run();
