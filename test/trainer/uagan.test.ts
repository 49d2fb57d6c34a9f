// UAGAN: its terms, the critic that is trained beside it and guarded by itself, its controls, and resuming.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { decayRate } from "../../engine/index.ts";
import { type Method, METHODS } from "../../model/methods/index.ts";
import { deeplySupervised, scaled, segmentation } from "../../model/methods/segmentation.ts";
import { twoStream } from "../../model/networks/twoStream.ts";
import type { TrainBatch } from "../../trainer/loop/trainer.ts";
import { decodeTraining } from "../../trainer/loop/state.ts";
import { numbers, run } from "../support/methodTrials.ts";
import { failure } from "../support/quietly.ts";
import { batch, of, VOXELS } from "../support/training.ts";

const METHOD = METHODS.uagan as unknown as Method;
const SETTINGS = {
  adversarialWeight: 0.01,
  cycleWeight: 0.1,
  shapeWeight: 1,
  penaltyWeight: 10,
  unpaired: false,
};
const OFF = { adversarialWeight: 0, cycleWeight: 0, shapeWeight: 0 };
const NAMES = ["t1", "flair"];

/** Batches without end from a seed on; `poison` are the numbers of those with NaN in their images. */
function source(seed: number, poison: readonly number[] = [], drawn = 0) {
  const next = (): TrainBatch => {
    const made = batch(seed + 2 * ++drawn);
    if (poison.includes(drawn)) made.images.fill(NaN, 0, VOXELS);
    return made;
  };
  return { next, state: () => drawn };
}

type Trial = NonNullable<Parameters<typeof run>[1]> & { declared?: unknown; poison?: number[] };

const trained = (
  settings: object = {},
  { declared = METHOD, poison = [], ...trial }: Trial = {},
  from: Uint8Array | null = null,
) =>
  run(
    declared,
    {
      channels: [0, 2],
      settings: { ...SETTINGS, ...settings },
      sources: { t1: source(100, poison), flair: source(500) },
      ...trial,
    },
    from,
  );
type Outcome = Awaited<ReturnType<typeof trained>>;

const losses = ({ seen }: Outcome) => of(seen, "step").map((step) => step.losses);
const named = ({ tensors }: Outcome, pattern: RegExp) =>
  Object.entries(tensors)
    .filter(([name]) => pattern.test(name))
    .map(([name, value]) => [name, numbers(value)] as const);
const CRITIC = /^role\/critic\//;
const DEPLOYED = /^(?!role\/|optimizer)/;

test("a step tells the generator's terms, and the critic's under its own name", async () => {
  const outcome = await trained();
  const [first] = losses(outcome);
  const labels = NAMES.flatMap((name) => [`${name}.crossEntropy`, `${name}.dice`]);
  const others = ["realness", "targetClass", "cycle", "shapeCrossEntropy", "shapeDice"];
  const critic = ["critic.total", "critic.real", "critic.fake", "critic.class", "critic.penalty"];
  assert.equal(Object.keys(first!), ["total", ...labels, ...others, ...critic]);
  const off = losses(await trained({ cycleWeight: 0, penaltyWeight: 0 }))[0]!;
  assert.not("cycle" in off || "critic.penalty" in off);
});

test("C0: with all weights 0 it is the two-stream network and its labels, bit for bit; no critic moves", async () => {
  const declared = {
    ...METHOD,
    networks: (given: Parameters<Method["networks"]>[0]) => ({
      generator: {
        spec: { ...given.network, architecture: twoStream, banks: given.network.modalities },
        group: "main",
      },
    }),
    step({ networks, batch: all, update }: Parameters<Method["step"]>[0]) {
      update("main", () => {
        const terms = NAMES.map((name) => {
          const own = (all as Record<string, (typeof all)["paired"]>)[name]!;
          const output = networks["generator"]!.run(own.images([name]), { domain: name });
          const halved = scaled(deeplySupervised(segmentation(output, own), output, own), 0.5);
          return Object.entries(halved).map(([term, value]) => [`${name}.${term}`, value] as const);
        });
        return Object.fromEntries(terms.flat());
      });
    },
  };
  const four = { stepsPerEpoch: 4 };
  const [own, alone] = [await trained(OFF, four), await trained(OFF, { ...four, declared })];
  assert.equal(losses(own), losses(alone));
  assert.equal(named(own, DEPLOYED), named(alone, DEPLOYED));
  assert.equal(
    named(own, CRITIC),
    named(await trained(OFF, { stepsPerEpoch: 1 }), CRITIC),
    "as it was drawn",
  );
  const judged = await trained({}, four);
  assert.not.equal(named(judged, CRITIC), named(own, CRITIC));
  assert.not.equal(named(judged, DEPLOYED), named(own, DEPLOYED));
});

test("each weight moves the generator; without a weight for it the critic stays", async () => {
  const plain = named(await trained(OFF), DEPLOYED);
  for (const weight of ["adversarialWeight", "cycleWeight", "shapeWeight"] as const) {
    const outcome = await trained({ ...OFF, [weight]: SETTINGS[weight] });
    assert.not.equal(named(outcome, DEPLOYED), plain, weight);
    assert.is("critic.total" in losses(outcome)[0]!, weight === "adversarialWeight");
  }
});

test("the weight of translated images' labels rises over 60 % of the steps", async () => {
  const outcome = await trained({ adversarialWeight: 0, cycleWeight: 0 }, { stepsPerEpoch: 10 });
  const weights = losses(outcome).map((one) => {
    const labels = NAMES.map((name) => one[`${name}.crossEntropy`]! + one[`${name}.dice`]!);
    const shape = one["shapeCrossEntropy"]! + one["shapeDice"]!;
    return (one["total"]! - (labels[0]! + labels[1]!) / 2) / shape;
  });
  const want = [0.001, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9].map((done) => Math.min(1, done / 0.6));
  weights.forEach((weight, i) => assert.ok(Math.abs(weight - want[i]!) < 1e-4, `${weight} ${want[i]}`));
});

test("NaN in a batch is skipped, and spoils neither the generator nor the critic nor their moments", async () => {
  const outcome = await trained({}, { stepsPerEpoch: 3, poison: [2] });
  const skipped = of(outcome.seen, "skip");
  assert.equal(
    skipped.map(({ step, why }) => [step, why]),
    [[2, "loss"]],
  );
  const spoilt = named(outcome, /^(?!optimizer\..*guard)/).filter(([, data]) => !data.every(Number.isFinite));
  assert.equal(
    spoilt.map(([name]) => name),
    [],
  );
});

test("a critic whose penalty overflows is skipped alone: the generator still takes its step", async () => {
  const one = await trained({ penaltyWeight: 1e38 }, { stepsPerEpoch: 1 });
  const drawn = await trained(OFF, { stepsPerEpoch: 1 });
  const usual = await trained({}, { stepsPerEpoch: 1 });
  assert.is(of(one.seen, "skip").length, 1);
  assert.equal(named(one, CRITIC), named(drawn, CRITIC), "the critic stays");
  assert.equal(named(one, DEPLOYED), named(usual, DEPLOYED), "the generator does not");
});

test("a generator whose loss overflows is skipped alone: the critic still takes its step", async () => {
  const one = await trained({ cycleWeight: 1e39 }, { stepsPerEpoch: 1 });
  const drawn = await trained(OFF, { stepsPerEpoch: 1, optimizer: { lr: 0 } });
  const usual = await trained({}, { stepsPerEpoch: 1 });
  assert.is(of(one.seen, "skip").length, 1);
  const shared = new Set(named(drawn, DEPLOYED).map(([name]) => name));
  const moved = named(one, DEPLOYED).filter(([name]) => shared.has(name));
  assert.equal(moved, named(drawn, DEPLOYED), "the generator stays");
  assert.not.equal(named(one, CRITIC), named(drawn, CRITIC), "the critic does not");
  assert.not.equal(named(one, DEPLOYED), named(usual, DEPLOYED));
});

test("a group that is never finite stops the training, though the other one is sound", async () => {
  for (const weights of [{ penaltyWeight: 1e39 }, { cycleWeight: 1e39 }]) {
    const { message } = await failure(() => trained(weights, { stepsPerEpoch: 6, maxBadSteps: 3 }));
    assert.match(message, /^step 3: loss not finite in 3 steps in a row/);
  }
});

test("a stopped training resumes to the same bits, with its critic and both optimizers", async () => {
  let clock = 0;
  const slow = { stepsPerEpoch: 3, epochs: 2, now: () => (clock += 3000) };
  const whole = await trained({}, slow);
  assert.ok(named(whole, /^optimizer\.critic\//).length > 0);
  for (const file of [whole.files[2]!, whole.files[5]!]) {
    const { data } = await decodeTraining(file, "state");
    const at = (name: string, seed: number) => source(seed, [], data[name] as number);
    const sources = { t1: at("t1", 100), flair: at("flair", 500) };
    const again = await trained({}, { ...slow, sources }, file);
    assert.equal(again.tensors, whole.tensors);
  }
});

test("the rate stays, and falls to a hundredth over the last 40 %", () => {
  const rates = [0, 0.6, 0.8, 1, 2].map((done) => decayRate(1e-4, done));
  [1e-4, 1e-4, 5.05e-5, 1e-6, 1e-6].forEach((rate, i) => assert.ok(Math.abs(rates[i]! - rate) < 1e-12));
});

test.run();
