// UAGAN's generator and critic: their tensors, the contrast to translate into, the streams' influence on each
// other, and the critic's gradient by the image.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { concat, conv3d, fill, grad, keep, stack, tensor, type Tensor } from "../../engine/index.ts";
import { gradientPenalty, mean } from "../../model/losses/adversarial.ts";
import type { Architecture } from "../../model/networks/architecture.ts";
import { mergedBank } from "../../model/networks/banks.ts";
import { critic, CONTRASTS, GRADIENT } from "../../model/networks/critic.ts";
import { forward, initialise, type Network } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import {
  segmenting,
  TRANSLATION,
  translates,
  translator,
  twoStream,
} from "../../model/networks/twoStream.ts";
import { vnet, type VnetConfig } from "../../model/networks/vnet.ts";
import { device, random } from "../support/gradcheck.ts";

const CONFIG: VnetConfig = { modalities: 1, classes: 4, filters: 2, levels: 3, norm: "instance" };
const PATCH = [8, 8, 16] as const;
const BANKS = ["t1", "flair"];
const volume = (seed: number, batch = 1) =>
  keep(tensor(device, [batch, 1, ...PATCH], random([batch, 1, ...PATCH], { seed }).data));

function made(architecture: Architecture<VnetConfig>, more: Partial<Network> = {}): Network {
  return { params: new Params(device, { seed: 3 }), config: CONFIG, architecture, ...more };
}

const values = async (t: Tensor) => [...(await t.read())];

test("tensors() lists what a pass makes, in its order, for every norm and with auxiliary heads", () => {
  for (const architecture of [twoStream, translator, critic])
    for (const norm of ["instance", "batch"] as const)
      for (const deepSupervision of [false, true]) {
        const config = { ...CONFIG, levels: 4, norm, deepSupervision };
        const network = { ...made(architecture), config };
        initialise(device, network, [16, 16, 16]);
        const shapes = [...network.params.tensors].map(([name, { shape }]) => [name, [...shape]]);
        assert.equal(
          shapes,
          [...architecture.tensors(config)].map(([name, shape]) => [name, [...shape]]),
        );
        network.params.free();
      }
});

test("the names of checkpoints: a V-Net's, and those of the other stream, its gates and targets", () => {
  const names = [...translator.tensors(CONFIG).keys()];
  for (const name of vnet.tensors(CONFIG).keys()) assert.ok(names.includes(name), name);
  for (const name of [
    "translation_encoder.block_one.conv.0.weight",
    "translation_encoder.target.weight",
    "gate_1.value.weight",
    "gate_2.attention.bias",
    "translation_decoder.block_five.conv.0.weight",
    "translation_decoder.gate_1.value.weight",
    "translation_decoder.out_conv.bias",
  ])
    assert.ok(names.includes(name), name);
  assert.not(names.includes("translation_encoder.block_three.conv.0.weight"), "the lowest level is shared");
  assert.equal(Object.keys(segmenting(Object.fromEntries(translator.tensors(CONFIG)))), [
    ...twoStream.tensors(CONFIG).keys(),
  ]);
  assert.ok(translates(Object.fromEntries(translator.tensors(CONFIG))));
  assert.not(translates(Object.fromEntries(twoStream.tensors(CONFIG))));
});

test("each contrast has a kernel of its own, which moves both streams; alone it has a plain name", async () => {
  const whole = made(translator, { banks: BANKS });
  initialise(device, whole, PATCH);
  const x = volume(1);
  const taps = [TRANSLATION];
  const into = (domain: string) => forward(whole, x, { mode: "eval", taps, domain });
  const [t1, flair] = [into("t1"), into("flair")];
  assert.equal(t1.taps[TRANSLATION]!.shape, [1, 1, ...PATCH]);
  assert.not.equal(await values(t1.taps[TRANSLATION]!), await values(flair.taps[TRANSLATION]!));
  assert.not.equal(await values(t1.logits), await values(flair.logits), "the gates let it through");
  const banked = [...whole.params.tensors.keys()].filter((name) => name.startsWith("bank."));
  assert.equal(
    banked,
    BANKS.map((name) => `bank.${name}.translation_encoder.target.weight`),
  );
  const stored = segmenting(mergedBank(await whole.params.read(), "flair"));
  const alone = { ...made(twoStream), params: new Params(device, { values: stored }) };
  assert.equal(await values(forward(alone, x, { mode: "eval" }).logits), await values(flair.logits));
  alone.params.checkUsed();
});

test("a plane of ones with a kernel for each contrast is one-hot planes", async () => {
  const [weight, code] = [random([2, 1, 3, 3, 3], { seed: 1 }), random([2, 1, 3, 3, 3], { seed: 2 })];
  const other = random([2, 1, 3, 3, 3], { seed: 5 });
  const upload = ({ shape, data }: typeof weight) => tensor(device, shape, data);
  const x = volume(4);
  const [ones, zeros] = [1, 0].map((value) => fill(device, x.shape, value)) as [Tensor, Tensor];
  const ours = conv3d(concat(x, ones), concat(upload(weight), upload(code)));
  const planes = concat(concat(x, zeros), ones);
  const kernels = concat(concat(upload(weight), upload(other)), upload(code));
  const want = await values(conv3d(planes, kernels));
  (await values(ours)).forEach((value, i) => assert.ok(Math.abs(value - want[i]!) < 1e-5));
});

/** The mean of all outputs of a network, and its gradients by every tensor. */
async function outcome(architecture: Architecture<VnetConfig>, lowMemory: boolean): Promise<number[][]> {
  const x = volume(1, 2);
  const network = made(architecture, { lowMemory });
  initialise(device, network, PATCH);
  const { loss, grads } = grad(network.params.trained, () => {
    const taps = architecture === translator ? [TRANSLATION] : [];
    const { logits, taps: heads } = forward(network, x, { mode: "train", taps });
    const both = [logits, ...Object.values(heads).flat()].reduce((a, b) => concat(a, b));
    return mean(conv3d(both, fill(device, [1, both.shape[1]!, 1, 1, 1], 0.2)));
  });
  return [[await loss.item()], ...(await Promise.all(grads.map(values)))];
}

test("low memory: the generator that segments alone has the same gradients, bit for bit", async () => {
  assert.equal(await outcome(twoStream, true), await outcome(twoStream, false));
});

test("low memory: the translator has the same outputs, and gradients that differ by rounding", async () => {
  // A gate reads the other stream's encoder twice, and low memory adds both gradients before the others.
  const [plain, low] = [await outcome(translator, false), await outcome(translator, true)];
  assert.equal(low[0], plain[0]);
  for (const [i, own] of plain.entries()) {
    const largest = Math.max(...own.map(Math.abs));
    own.forEach((value, k) => assert.ok(Math.abs(low[i]![k]! - value) <= 1e-5 * largest + 1e-8));
  }
});

test("the critic's gradient by the image is that of the sum of its realness; its biases do not move it", async () => {
  const network = made(critic);
  initialise(device, network, PATCH);
  const x = volume(2, 2);
  const taps = [GRADIENT, CONTRASTS];
  const output = forward(network, x, { mode: "eval", taps });
  assert.equal(output.taps[CONTRASTS]!.shape, [2, 4]);
  assert.equal(output.logits.shape, [2, 1, 2, 2, 4]);
  const { grads } = grad([x], () => mean(forward(network, x, { mode: "eval" }).logits));
  const scale = output.logits.size;
  const want = (await values(grads[0]!)).map((value) => value * scale);
  const got = await values(output.taps[GRADIENT]!);
  got.forEach((value, i) => assert.ok(Math.abs(value - want[i]!) < 1e-5, `${value} ${want[i]}`));
  const { kernels, biases } = Object.fromEntries(
    ["kernels", "biases"].map((kind) => [
      kind,
      [...network.params.tensors].flatMap(([name, t]) =>
        name.startsWith("layer_") && name.endsWith(kind === "biases" ? "bias" : "weight") ? [t] : [],
      ),
    ]),
  ) as Record<"kernels" | "biases", Tensor[]>;
  const penalty = () => gradientPenalty(forward(network, x, { mode: "train", taps }).taps[GRADIENT]!);
  const moved = grad(kernels, penalty).grads;
  for (const t of moved) assert.ok((await values(t)).some((value) => value !== 0));
  assert.throws(() => grad(biases, penalty), /depend/);
});

test("a sample's penalty does not depend on the others; a gradient of length 1 has none", async () => {
  const unit = new Float32Array(2 * 1024).map((_, i) => (i % 1024 === 5 ? 1 : 0));
  const one = tensor(device, [2, 1, 8, 8, 16], unit);
  assert.is(await gradientPenalty(one).item(), 0);
  const three = tensor(
    device,
    [1, 1, 8, 8, 16],
    unit.subarray(0, 1024).map((value) => 3 * value),
  );
  assert.is(await gradientPenalty(three).item(), 4);
  const both = stack([tensor(device, [1, 1, 8, 8, 16], unit.subarray(0, 1024)), three]);
  assert.is(await gradientPenalty(both).item(), 2);
});

test("other taps, inputs and patches are refused", () => {
  const x = volume(1);
  const run = (architecture: Architecture<VnetConfig>, taps: string[]) => () =>
    forward(made(architecture), x, { mode: "eval", taps });
  assert.throws(run(twoStream, [TRANSLATION]), /^two-stream: expected no tap, got translation$/);
  assert.throws(run(translator, ["E_1"]), /^translator: expected translation tap, got E_1$/);
  assert.throws(run(critic, ["E_1"]), /^critic: expected the tap contrasts or gradient, got E_1$/);
  const two = tensor(device, [1, 2, 8, 8, 8], new Float32Array(1024));
  assert.throws(
    () => forward(made(twoStream), two, { mode: "eval" }),
    /^two-stream: expected images of one contrast \[N,1,D,H,W\], got \[1,2,8,8,8\]$/,
  );
  critic.checkPatch([4, 4, 4], CONFIG);
  assert.throws(
    () => critic.checkPatch([4, 6, 4], CONFIG),
    /a critic of 2 layers needs multiples of 4, got 4,6,4/,
  );
});

test.run();
