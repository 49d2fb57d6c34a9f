// Deep supervision: the auxiliary heads of the decoder's levels, the labels and weights of their losses, and
// that a network is used and shared without them.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readModel, saveModel } from "../../cli/files/models.ts";
import {
  conv3dWithMoments,
  convTranspose3d,
  instanceNormRelu,
  tensor,
  type Tensor,
} from "../../engine/index.ts";
import { vnetToOnnx } from "../../model/files/onnx.ts";
import { coarseLabels, levelWeights, withCoarse } from "../../model/losses/deepSupervision.ts";
import { crossEntropyTerm, FEATURES, segmentationTerms, total } from "../../model/losses/losses.ts";
import { initialSource, withoutAuxiliary } from "../../model/networks/auxiliary.ts";
import { forward, initialise, type Network } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { forwardBatch } from "../../model/networks/parts.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";
import { vnetShapes } from "../../model/networks/layers.ts";
import { fittingSupervision } from "../../trainer/settings/config.ts";
import type { ModelCard } from "../../trainer/stages/stage.ts";
import { close, device, random } from "../support/gradcheck.ts";
import { batch, events, of, trained, type Trial } from "../support/training.ts";

const PLAIN: VnetConfig = { modalities: 1, classes: 4, filters: 2, levels: 4, norm: "instance" };
const DEEP: VnetConfig = { ...PLAIN, deepSupervision: true };
const PATCH = [16, 16, 32] as const;
const HALF = ["deep_supervision.half.weight", "deep_supervision.half.bias"];

const image = (samples = 1) => {
  const { shape, data } = random([samples, 1, ...PATCH]);
  return tensor(device, shape, data);
};
const network = (config: VnetConfig, seed: number): Network => ({
  params: new Params(device, { seed }),
  config,
});
const bits = async (t: Tensor) => [...(await t.read())];

test("weights halve from level to level, and add up to 1", () => {
  assert.equal(levelWeights(0), [1]);
  assert.equal(levelWeights(1), [2 / 3, 1 / 3]);
  assert.equal(levelWeights(2), [4 / 7, 2 / 7, 1 / 7]);
  assert.equal(levelWeights(3), [8 / 15, 4 / 15, 2 / 15, 1 / 15]);
});

test("a coarse label is the voxel behind its block's middle, in every sample", () => {
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

test("there is an auxiliary head for each level of the decoder but its lowest", () => {
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
    Object.keys(withoutAuxiliary(Object.fromEntries(vnetShapes(DEEP)))),
  );
  for (const levels of [2, 3]) {
    assert.throws(
      () => forward(network({ ...DEEP, levels }, 1), image(), { mode: "train" }),
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

test("a head sees the input of the next level, and changes nothing in the rest of the network", async () => {
  const [deep, plain] = [network(DEEP, 3), network(PLAIN, 3)];
  initialise(device, deep, PATCH);
  const at = (name: string) => deep.params.tensors.get(name)!;
  at(HALF[0]!).write(Float32Array.from({ length: 16 }, (_, i) => Number(i % 5 === 0))); // a feature a class
  at(HALF[1]!).write([0, 0, 0, 0]);
  const x = image();
  const taps = [FEATURES];
  const output = forward(deep, x, { mode: "train", taps });
  assert.equal(Object.keys(output.taps), taps);
  assert.equal(
    output.coarse.map(({ shape }) => shape),
    [[1, 4, 8, 8, 16]],
  );

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
  const up = activate({ y: convTranspose3d(output.coarse[0]!, weight, bias) }, "block_six_up.conv.1", skip);
  const features = activate(conv3dWithMoments(up, at("block_seven.conv.0.weight")), "block_seven.conv.1");
  assert.equal(await bits(features), await bits(output.taps[FEATURES]!));

  const used = forward(deep, x, { mode: "eval" });
  assert.equal(used.coarse, []);
  const same = forward(plain, x, { mode: "train" });
  assert.equal(same.coarse, []);
  for (const { logits } of [output, used]) assert.equal(await bits(logits), await bits(same.logits));
});

test("the segmentation's terms are shared between the levels; other terms stay as they are", async () => {
  const { images, label } = batch(5, PATCH);
  const x = tensor(device, [2, 1, ...PATCH], images.subarray(0, 2 * 16 * 16 * 32));
  const deep = network(DEEP, 2);
  const how = { mode: "train", taps: [FEATURES] } as const;
  const output = forwardBatch(deep, x, how, 2);
  const before = device.bytes;
  const apart = forwardBatch(deep, x, how, 1);
  assert.is(apart.taps[FEATURES]!.length, 2);
  const kept = [...apart.taps[FEATURES]!, apart.logits, ...apart.coarse];
  assert.is(
    device.bytes - before,
    kept.reduce((sum, { bytes }) => sum + bytes, 0),
  ); // the parts hold nothing else
  close(await bits(apart.coarse[0]!), await bits(output.coarse[0]!), 1e-6, "samples one at a time");
  const full = tensor(device, [2, ...PATCH], label);
  const below = coarseLabels(label, PATCH, 1).map(({ shape, data }) => tensor(device, [2, ...shape], data));
  const own = segmentationTerms(output.logits, full);
  const kd = tensor(device, [], [3]);
  const terms = withCoarse({ ...own, kd: [10, kd] }, output, below);
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
  const coarse = segmentationTerms(output.coarse[0]!, below[0]!);
  const read = async ([, term]: readonly [number, Tensor]) => term.item();
  const sum = async (list: typeof own) => (await read(list["crossEntropy"]!)) + (await read(list["dice"]!));
  close([await total(terms).item()], [(2 * (await sum(own)) + (await sum(coarse))) / 3 + 30], 1e-6, "loss");
  assert.is(withCoarse(own, { ...output, coarse: [] }, []), own);
  const alone = withCoarse(crossEntropyTerm(output.logits, full), output, below, crossEntropyTerm);
  assert.equal(
    Object.entries(alone).map(([name, [weight]]) => [name, weight]),
    [
      ["crossEntropy", 2 / 3],
      ["crossEntropyHalf", 1 / 3],
    ],
  );
  for (const [name, [, value]] of Object.entries(alone))
    close([await value.item()], [await terms[name]![1].item()], 1e-6, name);
});

const training = (config: VnetConfig, lowMemory = false): Trial => ({
  network: { ...network(config, 6), lowMemory },
  patch: PATCH,
  next: () => batch(7, PATCH),
});

test("training moves the heads, logs their losses, and ends with the same bits in low memory", async () => {
  const first = network(DEEP, 6);
  initialise(device, first, PATCH);
  const before = await first.params.read();
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

test("a network is saved without the heads, under the published names; training may add them to such weights", async () => {
  const folder = mkdtempSync(join(tmpdir(), "deep-supervision-"));
  const path = join(folder, "best.safetensors");
  const deep = network(DEEP, 1);
  initialise(device, deep, PATCH);
  const card: ModelCard = {
    network: DEEP,
    modalities: ["t1ce"],
    patch: [16, 16, 32],
    labels: "brats",
    background: "zero",
    crop: "brain",
    padding: "background",
    stage: "student_t1ce",
    window: "gaussian",
    epoch: 1,
    step: 1,
    seed: 1,
  };
  await saveModel(path, deep.params, card);
  const { network: stored, values } = await readModel(path);
  assert.equal(stored, PLAIN);
  assert.equal(Object.keys(values), [...vnetShapes(PLAIN).keys()]);
  rmSync(folder, { recursive: true });

  const from = (config: VnetConfig, given: typeof values, seed: number) => {
    const params = new Params(device, initialSource(given, config.deepSupervision === true, seed));
    initialise(device, { params, config }, PATCH);
    return params.read();
  };
  const [drawn, other] = [await from(DEEP, values, 1), await from(DEEP, values, 2)];
  const all = await deep.params.read();
  for (const [name, { data }] of Object.entries(all)) assert.equal([...drawn[name]!.data], [...data], name);
  assert.not.equal([...other[HALF[0]!]!.data], [...drawn[HALF[0]!]!.data]);
  assert.equal(Object.keys(await from(PLAIN, all, 1)), Object.keys(values)); // and the other way
  const published = vnetToOnnx({ config: PLAIN, values });
  assert.equal(vnetToOnnx({ config: DEEP, values: all }), published);
  const { "block_one.conv.0.weight": lacking, ...rest } = values;
  assert.ok(lacking);
  const lacks = () =>
    new Params(device, initialSource(rest, true, 1)).weight("block_one.conv.0.weight", [2], 1);
  assert.throws(lacks, /it has no block_one\.conv\.0\.weight/);
});

test.run();
