// The setting control: the trainer changes what frozen networks say, and no method knows of it.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { tensor } from "../../engine/index.ts";
import { defaultSettings, methodOf } from "../../model/methods/index.ts";
import { CONTROLS, rolled as rolledOutput } from "../../trainer/loop/controls.ts";
import { device } from "../support/gradcheck.ts";
import { checkResumes, type MethodTrial, numbers, rolled, run, taughtBy } from "../support/methodTrials.ts";
import { NAMES, network, of, trained } from "../support/training.ts";

const EVERY = [0, 1, 2];
const made = network(EVERY.length, 9);
const values = await trained({ network: made, channels: EVERY, stepsPerEpoch: 4 });
const teacher = () => ({ spec: { config: made.config, modalities: NAMES }, values });

const METHODS = [
  ["kd", ["kd"]],
  ["protokd", ["kd", "prototype"]],
  ["kdnet", ["softCrossEntropy", "softDice", "bottleneck"]],
  ["adain", ["statistics", "adain"]],
] as const;

type Outcome = Awaited<ReturnType<typeof run>>;
const firstOf = ({ seen }: Outcome) => of(seen, "step")[0]!.losses;
const weightsOf = ({ tensors }: Outcome) =>
  Object.entries(tensors).map(([name, one]) => [name, numbers(one)] as const);

for (const [name, terms] of METHODS) {
  const method = methodOf(name);
  const settings = defaultSettings(method);
  const train = (more: MethodTrial = {}) => run(method, { frozen: teacher, settings, ...more });
  const usual = await train();

  test(`${name}: the control none is no control, bit for bit`, async () => {
    assert.equal(weightsOf(await train({ control: "none" })), weightsOf(usual));
    assert.equal(weightsOf(await train({ control: "twin" })), weightsOf(usual), "the file is the twin");
  });

  test(`${name}: shuffled is a teacher whose outputs move along the batch, bit for bit`, async () => {
    const shuffled = await train({ control: "shuffled" });
    for (const term of terms) assert.is.not(firstOf(shuffled)[term], firstOf(usual)[term], term);
    for (const term of ["crossEntropy", "dice"])
      if (term in firstOf(usual)) assert.is(firstOf(shuffled)[term], firstOf(usual)[term], term);
    const by = await run(
      taughtBy(method, (one) => rolled(one)),
      { frozen: teacher, settings },
    );
    assert.equal(weightsOf(shuffled), weightsOf(by));
  });

  test(`${name}: an untrained teacher says something else, the same in each run, and not what the student says`, async () => {
    const untrained = await train({ control: "untrained" });
    for (const term of terms) {
      assert.is.not(firstOf(untrained)[term], firstOf(usual)[term], term);
      assert.ok(Number.isFinite(firstOf(untrained)[term]), term);
    }
    assert.equal(weightsOf(await train({ control: "untrained" })), weightsOf(untrained));
    const own = () => ({ spec: { config: network(1).config, modalities: [NAMES[1]] }, values: {} });
    const alike = await train({ control: "untrained", frozen: own, stepsPerEpoch: 1 });
    assert.ok(
      terms.some((term) => firstOf(alike)[term]! > 0),
      "drawn as the student, it would teach nothing",
    );
  });
}

for (const control of CONTROLS)
  test(`a training with the control ${control} resumes to the same bits`, () =>
    checkResumes(methodOf("protokd"), {
      frozen: teacher,
      settings: defaultSettings(methodOf("protokd")),
      control,
    }));

test("taps in parts keep their parts, and a batch of one cannot be shuffled", async () => {
  const of3 = tensor(device, [3, 2], [0, 1, 2, 3, 4, 5]);
  const parts = [tensor(device, [2, 1], [10, 11]), tensor(device, [1, 1], [12])];
  const { logits, taps } = rolledOutput({ logits: of3, taps: { E_1: parts }, coarse: [] });
  assert.equal([...(await logits.read())], [4, 5, 0, 1, 2, 3]);
  assert.equal(await Promise.all(taps["E_1"]!.map(async (part) => [...(await part.read())])), [
    [12, 10],
    [11],
  ]);
  const one = tensor(device, [1, 2], [0, 1]);
  assert.throws(() => rolledOutput({ logits: one, taps: {}, coarse: [] }), /expected a batch of two or more/);
});

test.run();
