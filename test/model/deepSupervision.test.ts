// Deep supervision: the heads of the decoder's levels, the labels and weights of their losses, and that whoever uses the
// network afterwards knows nothing of them.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readModel, saveModel, type ModelCard } from "../../cli/files/models.ts";
import { fittingSupervision } from "../../trainer/settings/config.ts";
import {
  conv3dWithMoments,
  convTranspose3d,
  instanceNormRelu,
  scope,
  tensor,
  type Tensor,
} from "../../engine/index.ts";
import {
  asideSource,
  coarseLabels,
  levelWeights,
  superviseLevels,
  withoutAsides,
} from "../../model/losses/deepSupervision.ts";
import { segmentationTerms, total } from "../../model/losses/losses.ts";
import { forward, type Network } from "../../model/networks/network.ts";
import { vnetToOnnx } from "../../model/files/onnx.ts";
import { Params } from "../../model/networks/params.ts";
import { forwardBatch } from "../../model/networks/parts.ts";
import { vnet, type VnetConfig } from "../../model/networks/vnet.ts";
import { vnetShapes } from "../../model/networks/layers.ts";
import { close, device, random } from "../support/gradcheck.ts";
import { batch, events, of, trained } from "../support/training.ts";

const PLAIN: VnetConfig = { modalities: 1, classes: 4, filters: 2, levels: 4, norm: "instance" };
const DEEP: VnetConfig = { ...PLAIN, deepSupervision: true };
const PATCH = [16, 16, 32] as const;
const HALF = ["deep_supervision.half.weight", "deep_supervision.half.bias"];

const image = (samples = 1) => {
  const { shape, data } = random([samples, 1, ...PATCH]);
  return tensor(device, shape, data);
};
const bits = async (t: Tensor) => [...(await t.read())];

test("weights halve from level to level, and are one together", () => {
  assert.equal(levelWeights(0), [1]);
  assert.equal(levelWeights(1), [2 / 3, 1 / 3]);
  assert.equal(levelWeights(2), [4 / 7, 2 / 7, 1 / 7]);
  assert.equal(levelWeights(3), [8 / 15, 4 / 15, 2 / 15, 1 / 15]);
});

test("coarse labels are the voxels behind the blocks' middles, in every sample", () => {
  const patch = [4, 8, 12] as const;
  const samples = 2;
  const label = Uint8Array.from({ length: samples * 4 * 8 * 12 }, (_, i) => (i * 7 + (i >> 3)) % 251);
  const levels = coarseLabels(label, patch, 2);
  assert.equal(
    levels.map(({ shape }) => shape),
    [
      [2, 4, 6],
      [1, 2, 3],
    ],
  );
  for (const [i, { shape, data }] of levels.entries()) {
    const factor = 2 ** (i + 1);
    const [D, H, W] = shape;
    assert.is(data.length, samples * D * H * W);
    for (const [at, value] of data.entries()) {
      const place = [Math.floor(at / W / H) % D, Math.floor(at / W) % H, at % W];
      const n = Math.floor(at / (D * H * W));
      const [z, y, x] = place.map((p) => Math.floor((p + 0.5) * factor)) as [number, number, number];
      assert.is(value, label[((n * 4 + z) * 8 + y) * 12 + x]);
    }
  }
  assert.equal(coarseLabels(label, patch, 0), []);
});

test("there is a head for each level of the decoder but its lowest", () => {
  const heads = (levels: number) => {
    const names = [...vnetShapes({ ...DEEP, levels })].filter(([name]) =>
      name.startsWith("deep_supervision."),
    );
    return names.map(([name, shape]) => `${name} ${shape}`);
  };
  assert.equal(heads(4), ["deep_supervision.half.weight 4,4,1,1,1", "deep_supervision.half.bias 4"]);
  assert.equal(heads(6).slice(0, 3), [
    "deep_supervision.eighth.weight 4,16,1,1,1",
    "deep_supervision.eighth.bias 4",
    "deep_supervision.quarter.weight 4,8,1,1,1",
  ]);
  assert.is(heads(6).length, 6);
  assert.equal(
    [...vnetShapes(PLAIN).keys()],
    Object.keys(withoutAsides(Object.fromEntries(vnetShapes(DEEP)))),
  );
  for (const levels of [2, 3]) {
    assert.throws(
      () => vnet(new Params(device, { seed: 1 }), image(), { ...DEEP, levels }, "train"),
      /at least 4 levels/,
    );
    assert.throws(
      () => fittingSupervision({ levels, deepSupervision: true }),
      /^--deep-supervision: expected/,
    );
    fittingSupervision({ levels, deepSupervision: false });
  }
  fittingSupervision({ levels: 4, deepSupervision: true });
});

test("a head sees what the next level is made of; the rest of the network is what it was", async () => {
  const [params, plain] = [DEEP, PLAIN].map((config) => {
    const made = new Params(device, { seed: 3 });
    scope(() => void vnet(made, image(), config, "eval"));
    return made;
  }) as [Params, Params];
  const at = (name: string) => params.tensors.get(name)!;
  at(HALF[0]!).write(Float32Array.from({ length: 16 }, (_, i) => Number(i % 5 === 0))); // each class one feature
  at(HALF[1]!).write([0, 0, 0, 0]);
  const x = image();
  const output = scope(() => vnet(params, x, DEEP, "train"));
  assert.equal(Object.keys(output), ["features", "logits", "half"]);
  assert.equal(output.half!.shape, [1, 4, 8, 8, 16]);

  const activate = (
    { y, moments = null }: { y: Tensor; moments?: Tensor | null },
    name: string,
    skip: Tensor | null = null,
  ) => instanceNormRelu(y, at(`${name}.weight`), at(`${name}.bias`), { skip, moments });
  const skip = activate(conv3dWithMoments(x, at("block_one.conv.0.weight")), "block_one.conv.1");
  const [weight, bias] = ["weight", "bias"].map((part) => at(`block_six_up.conv.0.${part}`)) as [
    Tensor,
    Tensor,
  ];
  const up = activate({ y: convTranspose3d(output.half!, weight, bias) }, "block_six_up.conv.1", skip);
  const features = activate(conv3dWithMoments(up, at("block_seven.conv.0.weight")), "block_seven.conv.1");
  assert.equal(await bits(features), await bits(output.features));

  const used = scope(() => vnet(params, x, DEEP, "eval"));
  assert.equal(Object.keys(used), ["features", "logits"]);
  const same = scope(() => vnet(plain, x, PLAIN, "train"));
  assert.equal(Object.keys(same), ["features", "logits"]);
  for (const [found, wanted] of [
    [output.logits, same.logits],
    [used.logits, same.logits],
  ] as const)
    assert.equal(await bits(found), await bits(wanted));
});

test("the loss is shared out over the levels; terms that are no segmentation stay as they are", async () => {
  const { images, label } = batch(5, PATCH);
  const x = tensor(device, [2, 1, ...PATCH], images.subarray(0, 2 * 16 * 16 * 32));
  const network: Network = { params: new Params(device, { seed: 2 }), config: DEEP };
  const output = forwardBatch(network, x, "train", 2);
  const before = device.bytes;
  const apart = forwardBatch(network, x, "train", 1);
  const kept = [...(apart.features as Tensor[]), apart.logits, apart.half!];
  assert.is(
    device.bytes - before,
    kept.reduce((sum, { bytes }) => sum + bytes, 0),
  ); // of the parts nothing else is
  close(await bits(apart.half!), await bits(output.half!), 1e-6, "of samples one at a time");
  const full = tensor(device, [2, ...PATCH], label);
  const below = coarseLabels(label, PATCH, 1).map(({ shape, data }) => tensor(device, [2, ...shape], data));
  const own = segmentationTerms(output.logits, full);
  const kd = tensor(device, [], [3]);
  const terms = superviseLevels({ ...own, kd: [10, kd] }, output, below);
  assert.equal(
    Object.entries(terms).map(([name, [weight]]) => [name, weight]),
    [
      ["crossEntropy", 2 / 3],
      ["dice", 2 / 3],
      ["kd", 10],
      ["crossEntropyHalf", 1 / 3],
      ["diceHalf", 1 / 3],
    ],
  );
  const coarse = segmentationTerms(output.half!, below[0]!);
  const read = async ([, term]: readonly [number, Tensor]) => term.item();
  const sum = async (list: typeof own) => (await read(list["crossEntropy"]!)) + (await read(list["dice"]!));
  close(
    [await total(terms).item()],
    [(2 * (await sum(own)) + (await sum(coarse))) / 3 + 30],
    1e-6,
    "of the loss",
  );
  assert.is(superviseLevels(own, output, []), own);
});

const training = (config: VnetConfig, lean = false) => ({
  ...{ network: { params: new Params(device, { seed: 6 }), config, lean }, channels: [1], patch: PATCH },
  next: () => batch(7, PATCH),
});

test("training moves the heads, logs their losses, and ends with the same bits computed again", async () => {
  const first = new Params(device, { seed: 6 });
  scope(() => void vnet(first, image(), DEEP, "eval"));
  const before = await first.read();
  const [kept, again, plain] = [
    await trained(training(DEEP)),
    await trained(training(DEEP, true)),
    await trained(training(PLAIN)),
  ];
  assert.equal(Object.keys(kept), Object.keys(before));
  for (const [name, { data }] of Object.entries(kept)) {
    assert.equal([...again[name]!.data], [...data], name);
    assert.ok(
      data.some((value, i) => value !== before[name]!.data[i]),
      `${name} moves`,
    );
  }
  assert.not.equal(
    [...kept["block_five_up.conv.0.weight"]!.data],
    [...plain["block_five_up.conv.0.weight"]!.data],
  );
  const steps = of(await events(training(DEEP)), "step");
  assert.equal(Object.keys(steps[0]!.losses), [
    "total",
    "crossEntropy",
    "dice",
    "crossEntropyHalf",
    "diceHalf",
  ]);
  assert.equal(Object.keys(of(await events(training(PLAIN)), "step")[0]!.losses), [
    "total",
    "crossEntropy",
    "dice",
  ]);
});

test("a network is saved without the heads, under the published names; weights without them can go on with them", async () => {
  const folder = mkdtempSync(join(tmpdir(), "deep-supervision-"));
  const path = join(folder, "best.safetensors");
  const params = new Params(device, { seed: 1 });
  scope(() => void forward({ params, config: DEEP }, image(), "eval"));
  const card: ModelCard = {
    ...{ network: DEEP, modalities: ["t1ce"], patch: [16, 16, 32], labels: "brats" },
    ...{ background: "zero", crop: "brain", padding: "background" },
    ...{ stage: "student_t1ce", window: "gaussian", epoch: 1, step: 1, seed: 1 },
  };
  await saveModel(path, params, card);
  const { network, values } = await readModel(path);
  assert.equal(network, PLAIN);
  assert.equal(Object.keys(values), [...vnetShapes(PLAIN).keys()]);
  rmSync(folder, { recursive: true });

  const from = (config: VnetConfig, given: typeof values, seed: number) => {
    const deep = config.deepSupervision === true;
    const made = new Params(device, asideSource(given, deep, seed));
    scope(() => void forward({ params: made, config }, image(), "eval"));
    made.checkUsed();
    return made.read();
  };
  const [drawn, other] = [await from(DEEP, values, 1), await from(DEEP, values, 2)];
  const all = await params.read();
  for (const [name, { data }] of Object.entries(all)) assert.equal([...drawn[name]!.data], [...data], name);
  assert.not.equal([...other[HALF[0]!]!.data], [...drawn[HALF[0]!]!.data]);
  assert.equal(Object.keys(await from(PLAIN, all, 1)), Object.keys(values)); // and the other way
  const published = vnetToOnnx({ config: PLAIN, values });
  assert.equal(vnetToOnnx({ config: DEEP, values: all }), published);
  const { "block_one.conv.0.weight": lacking, ...rest } = values;
  assert.ok(lacking);
  assert.throws(() =>
    new Params(device, asideSource(rest, true, 1)).uniform("block_one.conv.0.weight", [2], 1),
  );
});

test.run();
