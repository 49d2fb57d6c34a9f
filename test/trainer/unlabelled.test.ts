// Scans without labels beside the labelled batch: their terms, their weight, and resuming.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { DEFAULTS, runOf, type TrainConfig } from "../../trainer/settings/config.ts";
import { defaultSettings, type Method, methodOf, METHODS, streamsOf } from "../../model/methods/index.ts";
import { MODALITIES } from "../../data/datasets/source.ts";
import type { FrozenNetwork } from "../../trainer/loop/members.ts";
import type { BatchSource, TrainBatch } from "../../trainer/loop/options.ts";
import { decodeTraining } from "../../trainer/loop/state.ts";
import { estimate } from "../../trainer/stages/memory.ts";
import { streamsOf as stageStreams } from "../../trainer/stages/sources.ts";
import { device } from "../support/gradcheck.ts";
import { type MethodTrial, numbers, run } from "../support/methodTrials.ts";
import { batch, NAMES, network, of, trained } from "../support/training.ts";

const EVERY = [0, 1, 2];
const made = network(EVERY.length, 9);
const values = await trained({ network: made, channels: EVERY, stepsPerEpoch: 4 });
const frozen = (): FrozenNetwork => ({ spec: { config: made.config, modalities: NAMES }, values });

/** A source of labelled batches, or of others whose labels are nonsense: nothing may read them. */
function source(first: number, label: number | null = null): BatchSource {
  let drawn = 0;
  const next = (): TrainBatch => {
    const { label: own, ...rest } = batch(first + 2 * drawn++);
    return { ...rest, label: label === null ? own : own.fill(label) };
  };
  return { next, state: () => drawn };
}

/** The same from a state. */
function continued(first: number, state: unknown, label: number | null = null): BatchSource {
  const made = source(first, label);
  for (let i = 0; i < Number(state); i++) void made.next();
  return made;
}

type Settings = Readonly<Record<string, unknown>>;

const GIVEN = { unlabelled: "scans" };
const settingsOf = (method: Method, changed: Settings) => ({ ...defaultSettings(method), ...changed });
const both = (label: number | null = null) => ({ paired: source(100), unlabelled: source(900, label) });
const alone = () => ({ paired: source(100) });
const trainWith = (
  method: Method,
  changed: Settings,
  sources: MethodTrial["sources"],
  more: MethodTrial = {},
) =>
  run(method, {
    frozen,
    settings: settingsOf(method, changed),
    stepsPerEpoch: 3,
    ...more,
    ...(sources && { sources }),
  });

type Outcome = Awaited<ReturnType<typeof run>>;
const lossesOf = ({ seen }: Outcome) => of(seen, "step").map(({ losses }) => losses);
const weightsOf = ({ tensors }: Outcome) =>
  Object.entries(tensors).map(([name, one]) => [name, numbers(one)] as const);

const TERMS = {
  kd: ["unlabelled/kd"],
  protokd: ["unlabelled/kd", "unlabelled/prototype"],
  pseudo: ["unlabelled/crossEntropy", "unlabelled/dice"],
};

for (const [name, terms] of Object.entries(TERMS)) {
  const method = methodOf(name);

  test(`${name}: unlabelled scans have terms of their own, beside the labelled ones'`, async () => {
    const [added, usual] = [await trainWith(method, GIVEN, both()), await trainWith(method, {}, alone())];
    const own = Object.keys(lossesOf(usual)[0]!);
    assert.equal(Object.keys(lossesOf(added)[0]!), [...own, ...terms]);
    for (const term of own.filter((one) => one !== "total"))
      assert.is(lossesOf(added)[0]![term], lossesOf(usual)[0]![term], `${term}, before the first step`);
    assert.ok(terms.every((term) => lossesOf(added)[0]![term]! > 0));
    assert.not.equal(weightsOf(added), weightsOf(usual));
    const heavy = await trainWith(method, { ...GIVEN, unlabelledWeight: 2 }, both(), { stepsPerEpoch: 1 });
    const gain = (outcome: Outcome) => lossesOf(outcome)[0]!["total"]! - lossesOf(usual)[0]!["total"]!;
    assert.ok(Math.abs(gain(heavy) / gain(added) - 2) < 1e-3, "the weight multiplies all of them");
  });

  test(`${name}: labels of the unlabelled scans are never read`, async () => {
    assert.equal(
      weightsOf(await trainWith(method, GIVEN, both(3))),
      weightsOf(await trainWith(method, GIVEN, both())),
    );
  });

  test(`${name}: with weight 0 the run equals the one without unlabelled scans, bit for bit`, async () => {
    const off = await trainWith(method, { ...GIVEN, unlabelledWeight: 0 }, alone());
    const usual = await trainWith(method, {}, alone());
    assert.equal(weightsOf(off), weightsOf(usual));
    assert.equal(lossesOf(off), lossesOf(usual));
  });

  test(`${name}: each stream has its own state, and a resumed run ends with the same bits`, async () => {
    let clock = 0; // so slow that every step gives a state
    const long: MethodTrial = { epochs: 2, now: () => (clock += 3000) };
    const { tensors, files } = await trainWith(method, GIVEN, both(), long);
    for (const file of [files[2]!, files[4]!]) {
      const { data } = await decodeTraining(file, "state");
      assert.equal(Object.keys(data), ["paired", "unlabelled"]);
      const sources = {
        paired: continued(100, data["paired"]),
        unlabelled: continued(900, data["unlabelled"]),
      };
      const settings = settingsOf(method, GIVEN);
      const again = await run(method, { ...long, frozen, settings, stepsPerEpoch: 3, sources }, file);
      for (const [key, one] of Object.entries(tensors))
        assert.equal(numbers(again.tensors[key]), numbers(one), key);
    }
  });

  test(`${name}: the gradient's shares name the terms on unlabelled scans`, async () => {
    const validate = () => Promise.resolve({ WT: 0, TC: 0, ET: 0, mean: 0 });
    const { seen } = await trainWith(method, GIVEN, both(), { validate });
    const { logits } = of(seen, "epoch")[0]!.record.gradients!;
    for (const term of terms) assert.ok(logits![term]! >= 0 && term in logits!, term);
    assert.ok(terms.some((term) => logits![term]! > 0));
  });

  test(`${name}: the memory estimate counts the second batch`, () => {
    const config = {
      ...DEFAULTS,
      stage: "student",
      method: name,
      modality: "t1ce",
      filters: 4,
      levels: 3,
      patch: [16, 16, 32],
    } as unknown as TrainConfig;
    const sizes = { modalities: 4, classes: 4, filters: 4, levels: 3, norm: "instance" } as const;
    const peak = (changed: Partial<TrainConfig>) =>
      estimate(device, {
        config: { ...config, ...changed },
        modalities: MODALITIES,
        frozen: () => ({ spec: { config: sizes, modalities: MODALITIES } }),
      }).peakBytes;
    assert.ok(peak(GIVEN) > 1.5 * peak({}), `${peak(GIVEN)}, ${peak({})}`);
    assert.is(peak({ ...GIVEN, unlabelledWeight: 0 }), peak({}));
  });
}

test("a teacher whose weights count for nothing is not run on unlabelled scans", async () => {
  const none = await run(METHODS.none, { stepsPerEpoch: 3, sources: alone() });
  const off = await trainWith(methodOf("protokd"), { ...GIVEN, kdWeight: 0, prototypeWeight: 0 }, both());
  for (const [name, one] of Object.entries(none.tensors))
    assert.equal(numbers(off.tensors[name]), numbers(one), name);
});

test("prototypes of the teacher's prediction differ from the label's", async () => {
  const method = methodOf("protokd");
  const [label, teacher] = [
    await trainWith(method, {}, alone()),
    await trainWith(method, { prototypes: "teacher" }, alone()),
  ];
  assert.is(lossesOf(teacher)[0]!["kd"], lossesOf(label)[0]!["kd"]);
  assert.is.not(lossesOf(teacher)[0]!["prototype"], lossesOf(label)[0]!["prototype"]);
});

test("unlabelled scans are a stream of their own: no labels, no foreground, and patches of another seed", () => {
  const config = {
    ...DEFAULTS,
    stage: "student",
    method: "kd",
    modality: "t1ce",
    foreground: 0.5,
    ...GIVEN,
  } as unknown as TrainConfig;
  assert.equal(Object.keys(streamsOf(methodOf("kd"), runOf(config, MODALITIES))), ["paired", "unlabelled"]);
  const [paired, unlabelled] = stageStreams([{ id: "a" }], config, MODALITIES, [{ id: "b" }, { id: "c" }]);
  assert.equal([paired!.cases.length, unlabelled!.cases.length], [1, 2]);
  assert.equal([paired!.options.foreground, paired!.options.labels], [0.5, undefined]);
  assert.equal([unlabelled!.options.foreground, unlabelled!.options.labels], [0, false]);
  assert.is.not(unlabelled!.options.seed, paired!.options.seed);
});

test.run();
