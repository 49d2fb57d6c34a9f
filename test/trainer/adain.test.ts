// AdaIN-KD on tiny batches: its terms fall; it resumes to the same bits, with its connectors; it refuses taps
// that its teacher cannot judge. Its controls are in controls.test.ts.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { adain, batchNormEvalRelu, conv3d, fill, instanceNormRelu, tensor } from "../../engine/index.ts";
import { defaultSettings, type Method, METHODS } from "../../model/methods/index.ts";
import type { Network } from "../../model/networks/network.ts";
import type { FrozenNetwork } from "../../trainer/loop/members.ts";
import { device, random } from "../support/gradcheck.ts";
import { checkResumes, run } from "../support/methodTrials.ts";
import { failure } from "../support/quietly.ts";
import { MODALITIES, NAMES, network, of, trained } from "../support/training.ts";

const METHOD = METHODS.adain as Method;
const USUAL = defaultSettings(METHOD);

/** A teacher of all modalities that was trained for some steps. */
async function teacher({ filters = 2, norm = "instance" as "instance" | "batch", steps = 4 } = {}): Promise<
  () => FrozenNetwork
> {
  const { params, config } = network(MODALITIES, 9, norm);
  const made: Network = { params, config: { ...config, filters } };
  const values = await trained({ network: made, channels: [0, 1, 2], stepsPerEpoch: steps });
  return () => ({ spec: { config: made.config, modalities: NAMES }, values });
}

const TAUGHT = await teacher();
const trial = (settings: Record<string, unknown> = {}, frozen = TAUGHT) => ({
  frozen,
  settings: { ...USUAL, ...settings },
  stepsPerEpoch: 3,
});

test("both terms are there, and fall in training", async () => {
  const { seen } = await run(METHOD, { ...trial(), stepsPerEpoch: 12, optimizer: { lr: 0.02 } });
  const steps = of(seen, "step").map(({ losses }) => losses);
  assert.equal(Object.keys(steps[0]!), ["total", "crossEntropy", "dice", "statistics", "adain"]);
  assert.ok(steps.at(-1)!["statistics"]! < steps[0]!["statistics"]!, JSON.stringify(steps.at(-1)));
});

test("connectors widen a student's features, are trained, and are not in the network", async () => {
  const wide = await teacher({ filters: 4, norm: "batch" });
  const settings = { adainTaps: "D_1,D_2" };
  const { tensors } = await run(METHOD, trial(settings, wide));
  const own = Object.keys(tensors).filter((name) => name.startsWith("own/"));
  const parts = ["kernel", "weight", "bias"];
  assert.equal(
    own,
    ["D_1", "D_2"].flatMap((tap) => parts.map((part) => `own/${tap}.${part}`)),
  );
  assert.equal(tensors["own/D_2.kernel"]!.shape, [8, 4, 1, 1, 1]);
  const still = await run(METHOD, { ...trial(settings, wide), optimizer: { lr: 0 } });
  for (const name of own) assert.not.equal(tensors[name]!.data, still.tensors[name]!.data, name);
  await checkResumes(METHOD, trial(settings, wide));
});

test("it resumes to the same bits without connectors, too", () => checkResumes(METHOD, trial()));

test("deeper taps need a teacher with batch norm, and every tap a decoder that has it", async () => {
  const refusal = async (adainTaps: string, frozen = TAUGHT) =>
    (await failure(() => run(METHOD, trial({ adainTaps }, frozen)))).message;
  assert.match(
    await refusal("D_2"),
    /^--adain-taps D_2: the teacher's instance norm removes .* use D_1, or /,
  );
  const batched = await teacher({ norm: "batch", steps: 1 });
  assert.is(await refusal("D_3", batched), "--adain-taps D_3: decoders of 3 levels have D_1 to D_2");
  const { seen } = await run(METHOD, trial({ adainTaps: "D_2,D_1" }, batched));
  assert.ok(of(seen, "step").every(({ losses }) => losses["adain"]! > 0));
});

test("a network that is its own teacher is refused", () => {
  const selfTaught = { settings: USUAL, network: {}, selfTaught: true } as never;
  assert.throws(() => METHOD.networks(selfTaught), /^--teacher self: AdaIN-KD needs a teacher that does not/);
});

test("behind instance norm a shift of the channels' means is not noticed, behind batch norm it is", async () => {
  const upload = ({ shape, data }: ReturnType<typeof random>) => tensor(device, shape, data);
  const given = upload(random([2, 3, 5, 5, 5]));
  const style = random([2, 3, 5, 5, 5], { seed: 2 });
  const shifted = { ...style, data: style.data.map((value, i) => value + Math.floor(i / 125)) };
  const weight = upload(random([4, 3, 3, 3, 3], { seed: 3 }));
  const [one, none] = [fill(device, [4], 1), fill(device, [4], 0)];
  const running = { mean: none, variance: one };
  const tails = {
    instance: (x: typeof given) => instanceNormRelu(x, one, none),
    batch: (x: typeof given) => batchNormEvalRelu(x, one, none, running),
  };
  for (const [norm, tail] of Object.entries(tails)) {
    const seen = async (by: typeof style) =>
      tail(conv3d(adain(given, upload(by)), weight, null, { padding: 0 })).read();
    const [plain, moved] = [await seen(style), await seen(shifted)];
    const most = Math.max(...plain.map((value, i) => Math.abs(value - moved[i]!)));
    assert.ok(norm === "instance" ? most < 1e-4 : most > 0.1, `${norm}: ${most}`);
  }
});

test.run();
