// barlow and pmkl, whose teachers see the student's patches: all that they train, and refusals of networks,
// batches and flags that they cannot take. Their controls are in controls.test.ts.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { resolveConfig } from "../../cli/stages/trainFlags.ts";
import { defaultSettings, type Method, methodOf } from "../../model/methods/index.ts";
import { Trainer } from "../../trainer/loop/trainer.ts";
import { readTensors } from "../../trainer/loop/state.ts";
import { numbers } from "../support/methodTrials.ts";
import { failure } from "../support/quietly.ts";
import {
  batch,
  MODALITIES,
  network,
  of,
  stream,
  trained,
  trainOptions,
  type Trial,
} from "../support/training.ts";
import type { TrainEvent } from "../../trainer/loop/options.ts";

const STEPS = 3;

/** Trains a few steps; returns the events and all tensors of the state. */
async function train(trial: Trial) {
  const made = new Trainer(trainOptions({ stepsPerEpoch: STEPS, ...trial }));
  const seen: TrainEvent[] = [];
  for await (const event of made.run()) seen.push(event);
  const tensors = await readTensors(made.learner);
  made.free();
  return { steps: of(seen, "step"), tensors };
}

/** A trial of a method with its default settings, but for some, and an untrained teacher. */
function trial(method: Method, settings: Readonly<Record<string, unknown>> = {}): Trial {
  const own = { ...defaultSettings(method), ...settings };
  return { method, network: network(1), teacher: network(MODALITIES, 9), settings: own };
}

const barlow = methodOf("barlow");

test("barlow's teacher is trained as it would be alone, bit for bit, unless it is drawn, too", async () => {
  const patch = [16, 16, 32] as const;
  for (const deepSupervision of [false, true]) {
    const deep = (modalities: number) => {
      const { params, config } = network(modalities);
      return { params, config: { ...config, levels: 4, deepSupervision } };
    };
    const shared = () => ({ stepsPerEpoch: STEPS, patch, next: stream(patch) });
    const alone = await trained({ network: deep(MODALITIES), channels: [0, 1, 2], ...shared() });
    const teacher = async (settings = {}) => {
      const { tensors, steps } = await train({ ...trial(barlow, settings), network: deep(1), ...shared() });
      const levels = deepSupervision ? ["crossEntropyHalf", "diceHalf"] : [];
      const labels = ["total", "crossEntropy", "dice", ...levels].map((term) => `teacher.${term}`);
      for (const term of labels) assert.ok(term in steps[0]!.losses, term);
      const key = "role/teacher/";
      const own = Object.entries(tensors).filter(([name]) => name.startsWith(key));
      return Object.fromEntries(own.map(([name, values]) => [name.slice(key.length), numbers(values)]));
    };
    const plain = Object.fromEntries(Object.entries(alone).map(([name, values]) => [name, numbers(values)]));
    assert.is(
      Object.keys(plain).some((name) => name.startsWith("deep_supervision.")),
      deepSupervision,
    );
    for (const weight of [1, 0]) assert.equal(await teacher({ barlowWeight: weight }), plain);
    assert.not.equal(await teacher({ barlowBoth: true }), plain);
  }
});

test("barlow's bottlenecks come nearer where its loss counts, beside each kind of teacher", async () => {
  for (const settings of [{}, { barlowTeacher: "frozen" }, { barlowBoth: true }]) {
    const same = batch(1);
    const last = async (barlowWeight: number) => {
      const own = trial(barlow, { ...settings, barlowWeight });
      const { steps, tensors } = await train({ ...own, stepsPerEpoch: 10, next: () => same });
      assert.is("role/teacher/out_conv.weight" in tensors, !("barlowTeacher" in settings));
      return steps.at(-1)!.losses["barlow"]!;
    };
    const [drawn, free] = [await last(5), await last(1e-4)];
    assert.ok(drawn < free, `${JSON.stringify(settings)}: ${drawn}, without weight ${free}`);
  }
});

test("barlow refuses bottlenecks of too few voxels, and a frozen teacher of another shape", async () => {
  const few = { ...trial(barlow), patch: [4, 4, 8] as const, next: () => batch(1, [4, 4, 8]) };
  assert.match(
    (await failure(() => train(few))).message,
    /^--patch: Barlow Twins needs more voxels .*: expected more than 8, got 4: use a larger --patch or/,
  );
  const { config, params } = network(MODALITIES, 9);
  const other = { params, config: { ...config, filters: 3 } };
  const frozen = { ...trial(barlow, { barlowTeacher: "frozen" }), teacher: other };
  assert.match(
    (await failure(() => train(frozen))).message,
    /^--teacher: .* expected 16 voxels of 8 .* 12: /,
  );
});

test("barlow's student sees T1ce and FLAIR, with deep supervision, unless flags say otherwise", async () => {
  const flags = { stage: "student", method: "barlow" } as const;
  assert.is((await resolveConfig(flags)).modality, "t1ce+flair");
  assert.is((await resolveConfig({ ...flags, modality: "t1" })).modality, "t1");
  assert.is((await resolveConfig({ ...flags, method: "none" })).modality, "t1ce");
  const supervised = async (given: object) => (await resolveConfig({ ...flags, ...given })).deepSupervision;
  assert.equal([await supervised({}), await supervised({ deepSupervision: false })], [true, false]);
  assert.is(await supervised({ method: "none" }), false);
  const taught = { ...flags, teacher: "teacher.safetensors" };
  assert.match(
    (await failure(() => resolveConfig(taught))).message,
    /^--teacher: .* barlow uses no teacher$/,
  );
  assert.is((await resolveConfig({ ...taught, barlowTeacher: "frozen" })).teacher, taught.teacher);
});

test("pmkl's two MLPs are trained with the student, and are no part of it", async () => {
  const method = methodOf("pmkl");
  const before = await train({ ...trial(method), optimizer: { lr: 0 } });
  const { tensors } = await train(trial(method));
  const own = Object.keys(tensors).filter((key) => key.startsWith("own/"));
  assert.equal(
    own.map((key) => [key, tensors[key]!.shape]),
    [
      ["own/metric/student/w1", [32, 2]],
      ["own/metric/student/w2", [16, 32]],
      ["own/metric/teacher/w1", [32, 2]],
      ["own/metric/teacher/w2", [16, 32]],
    ],
  );
  for (const key of own) {
    assert.not.equal(numbers(tensors[key]), numbers(before.tensors[key]), key);
    assert.ok(`optimizer.main/mean.${key}` in tensors, key);
  }
});

test("pmkl refuses a batch of one before it reads data, unless it contrasts nothing", async () => {
  const flags = { stage: "student", method: "pmkl", batch: 1 } as const;
  assert.match(
    (await failure(() => resolveConfig(flags))).message,
    /^--batch 1: PMKL compares the cases of a batch with each other: use --batch 2 or more$/,
  );
  assert.is((await resolveConfig({ ...flags, contrastiveWeight: 0 })).batch, 1);
  assert.is((await resolveConfig({ ...flags, batch: 2 })).batch, 2);
});

test("pmkl refuses a teacher of another width, unless it contrasts nothing", async () => {
  const { config, params } = network(MODALITIES, 9);
  const other = () => ({ params, config: { ...config, filters: 3 } });
  const given = (settings = {}): Trial => ({ ...trial(methodOf("pmkl"), settings), teacher: other() });
  const why = /^--teacher: PMKL .*: expected 2 filters, got 3: .* --contrastive-weight 0$/;
  assert.match((await failure(() => train(given()))).message, why);
  assert.is((await train(given({ contrastiveWeight: 0 }))).steps.length, STEPS);
});

test.run();
