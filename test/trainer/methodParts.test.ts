// The other parts that a method may have, by small methods made here: own tensors with a rate of their own,
// phases that begin anew, a score of another name, several streams, a tape through a frozen network's tail.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { globalAveragePool, meanSquaredError, tensor } from "../../engine/index.ts";
import { segmentationTerms } from "../../model/losses/losses.ts";
import type { Method } from "../../model/methods/index.ts";
import { method } from "../../model/methods/method.ts";
import { forward } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { decodeTraining } from "../../trainer/loop/state.ts";
import { Trainer } from "../../trainer/loop/trainer.ts";
import { device } from "../support/gradcheck.ts";
import { checkResumes, fixed, numbers, plain, run } from "../support/methodTrials.ts";
import { batch, MODALITIES, of, PATCH, stream, trained, trainOptions, VOXELS } from "../support/training.ts";

test("own tensors are trained at a rate of their own, saved in the state, and not with the network", async () => {
  const zeros = (shape: number[]) => new Params(device, { zeros: true }).constant("zeros", shape, 0);
  const target = { scale: zeros([4]), drawn: zeros([3]) };
  const scaled = method({
    name: "scaled",
    title: "an own scale",
    source: "this test",
    settings: {},
    networks: ({ network: spec }) => ({ student: { spec, group: "main" } }),
    deployed: "student",
    own: () => ({
      scale: { shape: [4], init: { value: 0.2 }, group: "main", rate: 10 },
      drawn: { shape: [3], init: { normal: 1 }, group: "main" },
    }),
    step({ networks: { student }, own, batch: { paired }, update }) {
      update("main", () => ({
        ...segmentationTerms(student.run(paired).logits, paired.label),
        scale: [1, meanSquaredError(own["scale"]!, target.scale)],
        drawn: [1, meanSquaredError(own["drawn"]!, target.drawn)],
      }));
    },
  });
  const before = await run(scaled, { stepsPerEpoch: 1, optimizer: { lr: 0 } });
  const { tensors } = await run(scaled, { stepsPerEpoch: 1, optimizer: { lr: 0.01 } });
  for (const value of numbers(tensors["own/scale"])) assert.ok(Math.abs(value - 0.1) < 1e-4, String(value));
  for (const [i, value] of numbers(tensors["own/drawn"]).entries()) {
    const start = numbers(before.tensors["own/drawn"])[i]!;
    assert.ok(Math.abs(Math.abs(value - start) - 0.01) < 1e-4, `${start} to ${value}`);
  }
  assert.ok("optimizer.main/mean.own/drawn" in tensors);
  for (const [name, values] of Object.entries(await trained({ stepsPerEpoch: 1, optimizer: { lr: 0.01 } })))
    assert.equal(numbers(tensors[name]), numbers(values), `${name}: own tensors move no other draw or step`);
});

test("a phase that restarts a network begins with its first weights and a new optimizer", async () => {
  const phased = (restart: boolean) =>
    method({
      name: "phased",
      title: "two phases",
      source: "this test",
      settings: {},
      networks: ({ network: spec }) => ({ student: { spec, group: "main" } }),
      deployed: "student",
      phases: () => [
        { name: "first", share: 0.5 },
        { name: "second", share: 0.5, ...(restart && { restart: ["student"] as const }) },
      ],
      step(context) {
        seenPhases.push(context.phase);
        plain(context, "student", "main");
      },
    });
  const seenPhases: string[] = [];
  const again = await run(phased(true), { epochs: 2, stepsPerEpoch: 2, next: fixed() });
  assert.equal([...new Set(seenPhases)], ["first", "second"]);
  const once = await trained({ epochs: 1, stepsPerEpoch: 2, next: fixed() });
  assert.equal(
    numbers(again.tensors["out_conv.weight"]),
    numbers(once["out_conv.weight"]),
    "as one phase alone",
  );
  const on = await run(phased(false), { epochs: 2, stepsPerEpoch: 2, next: fixed() });
  assert.not.equal(numbers(on.tensors["out_conv.weight"]), numbers(once["out_conv.weight"]));
  const validate = () => Promise.resolve({ WT: 0, TC: 0, ET: 0, mean: NaN });
  const patient = await run(phased(true), { epochs: 8, stepsPerEpoch: 1, validate, patience: 2 });
  assert.is(of(patient.seen, "epoch").length, 4 + 2, "the patience counts in the last phase alone");
  assert.throws(
    () => new Trainer({ ...trainOptions({ epochs: 1 }), method: phased(true) as Method }),
    /^--epochs 1: too few for the method's phases, for "second" would have none: use more$/,
  );
});

test("a phase leaves own tensors that it holds as they are, and clips the others' gradients alone", async () => {
  const zeros = new Params(device, { zeros: true }).constant("zeros", [4], 0);
  const held = (weight: number, holds?: readonly string[]) =>
    method({
      name: "held",
      title: "a phase that holds",
      source: "this test",
      settings: {},
      networks: ({ network: spec }) => ({ student: { spec, group: "main" } }),
      deployed: "student",
      own: () => ({ scale: { shape: [4], init: { value: 0.2 }, group: "main", rate: 10 } }),
      phases: () => [
        { name: "first", share: 0.5 },
        { name: "second", share: 0.5, restart: ["student"], ...(holds && { holds }) },
      ],
      step({ networks: { student }, own, batch: { paired }, update }) {
        update("main", () => ({
          ...segmentationTerms(student.run(paired).logits, paired.label),
          scale: [weight, meanSquaredError(own["scale"]!, zeros)],
        }));
      },
    });
  for (const optimizer of ["adam", "sgd"] as const) {
    const trial = { stepsPerEpoch: 2, next: fixed(), optimizer: { optimizer, clip: 0.5, weightDecay: 0.1 } };
    const whole = await run(held(1, ["scale"]), { ...trial, epochs: 2 });
    const states = await Promise.all(whole.files.map((file) => decodeTraining(file, "state")));
    const first = states.find(({ position: { epoch, done } }) => epoch === 2 && done === 0)!;
    assert.equal(numbers(whole.tensors["own/scale"]), numbers(first.tensors["own/scale"]), optimizer);
    assert.not.equal(numbers(first.tensors["own/scale"]), [0.2, 0.2, 0.2, 0.2].map(Math.fround));
    const alone = await trained(trial);
    for (const [name, values] of Object.entries(alone))
      assert.equal(numbers(whole.tensors[name]), numbers(values), `${optimizer}: ${name}`);
    const free = await run(held(1), { ...trial, epochs: 2 });
    assert.not.equal(numbers(free.tensors["own/scale"]), numbers(first.tensors["own/scale"]));
    await checkResumes(held(1, ["scale"]), trial);
  }
});

test("numbers that a step observes are logged by step and epoch, and are no losses", async () => {
  const watched = method({
    name: "watched",
    title: "observed",
    source: "this test",
    settings: {},
    networks: ({ network: spec }) => ({ student: { spec, group: "main" } }),
    deployed: "student",
    step({ networks: { student }, batch: { paired }, update, observe }) {
      update("main", () => {
        const { logits } = student.run(paired);
        observe(["logit/0", "logit/1", "logit/2", "logit/3"], globalAveragePool(logits));
        return segmentationTerms(logits, paired.label);
      });
    },
  });
  const { seen, tensors } = await run(watched, { epochs: 2, stepsPerEpoch: 2 });
  const plainly = await trained({ epochs: 2, stepsPerEpoch: 2 });
  for (const [name, values] of Object.entries(plainly))
    assert.equal(numbers(tensors[name]), numbers(values), `${name}: observing changes nothing`);
  const steps = of(seen, "step");
  for (const [i, { record }] of of(seen, "epoch").entries()) {
    const own = steps.slice(2 * i, 2 * i + 2).map(({ observed }) => observed!);
    assert.equal(Object.keys(record.observed!), ["logit/0", "logit/1", "logit/2", "logit/3"]);
    assert.not.ok(Object.keys(record.losses).some((name) => name.includes("logit")));
    for (const [name, mean] of Object.entries(record.observed!))
      assert.is(mean, (own[0]![name]! + own[1]![name]!) / 2);
  }
  const network = { params: new Params(device, { seed: 1 }), config: trainOptions().run.network.config };
  const { images } = batch(102); // stream()'s first; the network sees the second channel
  const shown = [0, 1].flatMap((n) => {
    const from = (n * MODALITIES + 1) * VOXELS;
    return [...images.subarray(from, from + VOXELS)];
  });
  const x = tensor(device, [2, 1, ...PATCH], shown);
  const { logits } = forward(network, x, { mode: "train" });
  const pooled = await globalAveragePool(logits).read();
  for (let c = 0; c < 4; c++) {
    const mean = (pooled[c]! + pooled[4 + c]!) / 2;
    assert.ok(Math.abs(steps[0]!.observed![`logit/${c}`]! - mean) < 1e-6);
  }
  await checkResumes(watched, {});
});

test("a score of another name is named, and may be better when it is lower", async () => {
  const watched = method({
    name: "watched",
    title: "an entropy watch",
    source: "this test",
    settings: {},
    networks: ({ network: spec }) => ({ student: { spec, group: "main" } }),
    deployed: "student",
    score: { name: "entropy", better: "lower" },
    step: (context) => plain(context, "student", "main"),
  });
  const means = [0.5, 0.4, 0.6];
  const validate = () => {
    const mean = means.shift()!;
    return Promise.resolve({ WT: mean, TC: mean, ET: mean, mean });
  };
  const { seen } = await run(watched, { epochs: 3, stepsPerEpoch: 1, validate });
  const epochs = of(seen, "epoch");
  assert.equal(
    epochs.map(({ best, record }) => [best, record.score]),
    [true, true, false].map((best) => [best, "entropy"]),
  );
});

test("each stream has a source, and its state is kept by its name", async () => {
  const two = method({
    name: "two streams",
    title: "two streams",
    source: "this test",
    settings: {},
    networks: ({ network: spec }) => ({ student: { spec, group: "main" } }),
    deployed: "student",
    streams: () => ({ paired: {}, other: { patients: (index) => index % 2 === 0 } }),
    step({ networks: { student }, batch: { paired, other }, update }) {
      update("main", () => {
        const one = segmentationTerms(student.run(paired).logits, paired.label);
        const more = segmentationTerms(student.run(other).logits, other.label);
        return { ...one, other: more["dice"]! };
      });
    },
  });
  const [next, more] = [stream(), stream()];
  const sources = { paired: { next, state: () => 1 }, other: { next: more, state: () => 2 } };
  const { seen } = await run(two, { stepsPerEpoch: 1, sources });
  assert.equal(of(seen, "checkpoint").at(-1)!.data, { paired: 1, other: 2 });
  assert.equal(Object.keys(of(seen, "step")[0]!.losses), ["total", "crossEntropy", "dice", "other"]);
  assert.throws(
    () => new Trainer({ ...trainOptions(), method: two as unknown as Method }),
    /^method two streams: expected batches of the stream other, got none$/,
  );
});

test("a frozen network's tail carries a gradient to the features, and none of its weights move", async () => {
  const tailed = method({
    name: "tailed",
    title: "a tail",
    source: "this test",
    settings: {},
    networks: ({ network: spec }) => ({ student: { spec, group: "main" }, teacher: { frozen: "teacher" } }),
    deployed: "student",
    step({ networks: { student, teacher }, batch: { paired }, update }) {
      const guide = teacher.run(paired);
      update("main", () => {
        const own = student.run(paired, { taps: ["D_1"] });
        const judged = teacher.tail("D_1", own.taps["D_1"]![0]!);
        return {
          ...segmentationTerms(own.logits, paired.label),
          judged: [1, meanSquaredError(judged.logits, guide.logits)],
        };
      });
    },
  });
  const { seen, tensors } = await run(tailed, { stepsPerEpoch: 6, next: fixed(), optimizer: { lr: 0.02 } });
  const steps = of(seen, "step");
  assert.ok(
    steps.at(-1)!.losses["judged"]! < steps[0]!.losses["judged"]!,
    JSON.stringify(steps.map((s) => s.losses)),
  );
  assert.ok(
    Object.keys(tensors).every((name) => !name.startsWith("role/")),
    "a frozen network is in no state",
  );
});

test.run();
