// Steps on cases that lack a contrast of the teacher: the labels alone teach, as with `none`, and the mean of
// a term is over the steps that had it.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { classifies, defaultSettings, isTaught, METHODS, methodOf } from "../../model/methods/index.ts";
import { withoutTeacher } from "../../trainer/loop/lacking.ts";
import {
  addLosses,
  beginning,
  meanLosses,
  type Position,
  PositionSchema,
} from "../../trainer/loop/position.ts";
import type { TrainBatch, TrainEvent } from "../../trainer/loop/trainer.ts";
import { DEFAULTS, type TrainConfig } from "../../trainer/settings/config.ts";
import { checkTrainedBeside } from "../../trainer/stages/sources.ts";
import { batch, events, MODALITIES, network, of, type Trial, trained } from "../support/training.ts";
import * as v from "valibot";

const FILE = { path: "a", channel: 0 };
const TAUGHT = Object.keys(METHODS).filter((name) => isTaught(name));

/** A batch whose cases lack T1, which the student does not see. */
function lacking(seed: number): TrainBatch {
  const made = batch(seed);
  const voxels = made.label.length / 2;
  for (const n of [0, 1]) made.images.fill(0, n * MODALITIES * voxels, (n * MODALITIES + 1) * voxels);
  return { ...made, absent: [["t1"], ["t1"]] };
}

/** Batches in turn, without end. */
function inTurn(batches: readonly TrainBatch[]): () => TrainBatch {
  let next = 0;
  return () => batches[next++ % batches.length]!;
}

/** A student of the batches' second channel, taught by a teacher of all. */
function student(method: string, batches: readonly TrainBatch[]): Trial {
  const settings = { ...defaultSettings(methodOf(method)), ...(method === "kdnet" && { temperature: 5 }) };
  return {
    method: { ...methodOf(method), phases: () => [{ name: "training", share: 1 }] }, // of AMTML-KD the first
    settings,
    next: inTurn(batches),
    ...(isTaught(method) && { teacher: network(MODALITIES, 9) }),
  };
}

/** The training that a method's is where the teacher says nothing: of `none`, or of a classifier's labels. */
function untaught(method: string, batches: readonly TrainBatch[]): Trial {
  if (!classifies(method)) return student("none", batches);
  const { settings, ...trial } = student(method, batches);
  return { ...trial, settings: withoutTeacher(methodOf(method), settings!) };
}

const lossesOf = (seen: readonly TrainEvent[]) => of(seen, "step").map(({ losses }) => losses);

test("every method with a teacher says which weights are those of its terms", () => {
  assert.ok(TAUGHT.length >= 3);
  for (const name of TAUGHT) {
    const { settings } = methodOf(name);
    const weights = Object.keys(settings).filter((key) => settings[key]!.teaches);
    assert.ok(weights.length > 0, name);
    const without = withoutTeacher(methodOf(name), defaultSettings(methodOf(name)));
    for (const key of weights) assert.is(without[key], 0, `${name} ${key}`);
  }
});

for (const method of TAUGHT) {
  test(`${method}: steps on cases that lack a contrast of the teacher are those of labels alone, bit for bit`, async () => {
    const batches = [lacking(3), lacking(5)];
    assert.equal(await trained(student(method, batches)), await trained(untaught(method, batches)));
    const [first] = lossesOf(await events(student(method, batches)));
    const [plain] = lossesOf(await events(untaught(method, batches)));
    assert.equal(first, plain, "no term of the teacher");
  });

  test(`${method}: an absent contrast that no teacher sees changes nothing`, async () => {
    const [one, other] = [batch(3), batch(5)];
    const marked = [one, other].map((made) => ({ ...made, absent: [["t1ce"], []] }));
    assert.equal(await trained(student(method, marked)), await trained(student(method, [one, other])));
  });
}

test("a network that trains beside the student needs its contrasts in every case", () => {
  const config = { ...DEFAULTS, ...defaultSettings(methodOf("barlow")), stage: "student", method: "barlow" };
  const check = (ids: readonly string[]) => () =>
    checkTrainedBeside(
      { ...config, modality: "t1ce", teacherModality: null } as TrainConfig,
      ["t1", "t1ce"],
      ids.map((id) => ({ id, images: { t1ce: FILE, ...(id !== "B" && { t1: FILE }) } })),
    );
  assert.not.throws(check(["A", "C"]));
  assert.throws(
    check(["A", "B"]),
    /^single-stage Barlow Twins: trains its teacher .* sees t1 and t1ce: 1 lacks t1 \(B\): list/,
  );
});

test("the mean of a term is over the steps that had it", async () => {
  const trial = { ...student("kd", [batch(3), lacking(5), lacking(7)]), stepsPerEpoch: 3, epochs: 2 };
  const seen = await events(trial);
  const steps = lossesOf(seen);
  assert.equal(
    steps.map((losses) => "kd" in losses),
    [true, false, false, true, false, false],
  );
  for (const [i, { record }] of of(seen, "epoch").entries()) {
    const own = steps.slice(3 * i, 3 * i + 3);
    assert.is(record.losses["kd"], own[0]!["kd"]);
    const sum = own.reduce((all, { dice }) => all + dice!, 0);
    assert.is(record.losses["dice"], sum / 3);
  }
});

test("an epoch of a state without counts goes on: every step so far had every term", () => {
  const { counts: _, ...old } = { ...beginning(), done: 2, counted: 2, sums: { dice: 3, kd: 1 } };
  const at: Position = v.parse(PositionSchema, JSON.parse(JSON.stringify(old)));
  assert.equal(meanLosses(at), { dice: 1.5, kd: 0.5 });
  addLosses(at, { dice: 3 });
  addLosses(at, { dice: 2, kd: 2 });
  assert.equal(meanLosses(at), { dice: 2, kd: 1 });
  assert.equal(v.parse(PositionSchema, JSON.parse(JSON.stringify(at))), at);
});

test.run();
