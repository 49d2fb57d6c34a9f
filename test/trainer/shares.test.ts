// The terms' shares of the gradient: what they are, and that measuring them changes nothing.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { free, grad, tensor, type Tensor, weightedSum } from "../../engine/index.ts";
import { FEATURES, protokdTerms, PROTOKD, type Terms } from "../../model/losses/losses.ts";
import { forwardBatch } from "../../model/networks/parts.ts";
import { conv3d } from "../../engine/ops/conv3d.ts";
import type { Scores } from "../../trainer/loop/trainer.ts";
import { device } from "../support/gradcheck.ts";
import {
  batch,
  events,
  initialise,
  MODALITIES,
  network,
  of,
  PATCH,
  student,
  trained,
  VOXELS,
} from "../support/training.ts";

const WEIGHTS = { kdWeight: 400, prototypeWeight: 0.5, temperature: 4 };
const validate = (): Promise<Scores> => Promise.resolve({ WT: 0, TC: 0, ET: 0, mean: 0 });
const same = batch(1);
const next = () => same;

/** The shares that an epoch of one step reports. */
async function shares(more: Parameters<typeof events>[0]) {
  const [epoch] = of(await events({ stepsPerEpoch: 1, next, validate, ...more }), "epoch");
  return epoch!.record.gradients!;
}

test("they are norms of weighted gradients at the logits and at the features, by those of the whole loss", async () => {
  const trial = student(WEIGHTS);
  const own = network(1); // at a learning rate of 0 the network that is measured is the first one
  const measured = await shares({ ...trial, network: own, optimizer: { lr: 0 } });
  assert.equal(Object.keys(measured), ["logits", FEATURES]);
  initialise(device, own, PATCH);

  const images = tensor(device, [2, MODALITIES, ...PATCH], same.images);
  const seen = [0, 1].flatMap((n) => [...same.images.subarray((3 * n + 1) * VOXELS, (3 * n + 2) * VOXELS)]);
  const x = tensor(device, [2, 1, ...PATCH], seen);
  const label = tensor(device, [2, ...PATCH], same.label);
  const output = forwardBatch(own, x, { mode: "train", taps: [FEATURES] }, 2);
  const guide = forwardBatch(trial.teacher!, images, { mode: "eval", taps: [FEATURES] }, 2);
  const [features] = output.taps[FEATURES]!;
  const at = own.params.tensors;
  const places: Record<string, { leaf: Tensor; terms: () => Terms }> = {
    logits: { leaf: output.logits, terms: () => protokdTerms(output, guide, label, WEIGHTS) },
    [FEATURES]: {
      leaf: features!,
      terms: () => {
        const logits = conv3d(features!, at.get("out_conv.weight")!, at.get("out_conv.bias")!);
        return protokdTerms({ ...output, logits }, guide, label, WEIGHTS);
      },
    },
  };
  for (const [place, { leaf, terms }] of Object.entries(places)) {
    const norm = async (loss: () => Tensor) => {
      const values = await grad([leaf], loss).grads[0]!.read();
      return Math.hypot(...values);
    };
    const whole = await norm(() => weightedSum(Object.values(terms())));
    for (const name of ["crossEntropy", "dice", "kd", "prototype"]) {
      const found = measured[place]![name]!;
      if (place === "logits" && name === "prototype") {
        assert.is(found, 0, "prototypes are of the features: they do not reach the logits");
        continue;
      }
      const share = (await norm(() => weightedSum([terms()[name]!]))) / whole;
      assert.ok(Math.abs(found / share - 1) < 1e-4, `${place}, ${name}: ${found}, expected ${share}`);
    }
  }
  [images, x, label].forEach(free);
});

test("a term's share follows its weight; alone, the segmentation's two terms are all there is", async () => {
  const { logits: published } = await shares(student(PROTOKD));
  const { logits: strong } = await shares(student({ ...PROTOKD, kdWeight: 400 }));
  assert.ok(published!["kd"]! < 0.05, `${published!["kd"]}: published weights hardly move a step`);
  assert.ok(strong!["kd"]! > 10 * published!["kd"]!, `${strong!["kd"]}`);
  const alone = await shares({});
  assert.equal(Object.keys(alone), ["logits"]);
  assert.equal(Object.keys(alone["logits"]!), ["crossEntropy", "dice"]);
  const { crossEntropy, dice } = alone["logits"]!;
  assert.ok(crossEntropy! > 0 && dice! > 0 && crossEntropy! + dice! > 0.999, JSON.stringify(alone));
});

for (const norm of ["instance", "batch"] as const)
  test(`measuring changes no bit of the training, nor of running statistics (${norm} norm)`, async () => {
    const options = { ...student(), stepsPerEpoch: 2, epochs: 2 };
    const plain = await trained({ ...options, network: network(1, 1, norm) });
    const measured = await trained({ ...options, network: network(1, 1, norm), validate });
    assert.equal(measured, plain);
  });

test("measuring leaves no bytes behind", async () => {
  const bytes: number[] = [];
  const count = () => {
    bytes.push(device.bytes);
    return validate();
  };
  await events({
    ...student(),
    network: network(1, 1, "batch"),
    epochs: 4,
    stepsPerEpoch: 1,
    validate: count,
  });
  assert.equal(bytes.slice(1), Array(3).fill(bytes[1]));
});

test.run();
