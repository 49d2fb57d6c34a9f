// What the interface of methods carries beyond one network and one teacher, by small methods made here: two trained
// networks with optimizers of their own, a critic with a second update, an averaged teacher, own tensors with a rate of
// their own, phases that begin anew, several streams, a tape through a frozen network's tail.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { meanSquaredError } from "../../engine/index.ts";
import { segmentationTerms } from "../../model/losses/losses.ts";
import { type Method, METHODS, type Step } from "../../model/methods/index.ts";
import { method } from "../../model/methods/method.ts";
import { Params, type Values } from "../../model/networks/params.ts";
import { openMembers } from "../../trainer/loop/members.ts";
import { decodeTraining, encodeTraining, readTensors, restoreTensors } from "../../trainer/loop/state.ts";
import { type TrainEvent, Trainer, type TrainOptions } from "../../trainer/loop/trainer.ts";
import { device } from "../support/gradcheck.ts";
import {
  batch,
  initialise,
  network,
  of,
  stream,
  type Trial,
  trained,
  trainOptions,
} from "../support/training.ts";

/** Trains a method of this file: its networks are drawn from seed 1, as network(1) is. */
async function run(
  declared: unknown,
  { sources, ...trial }: Trial & Partial<Pick<TrainOptions, "sources">> = {},
  from: Uint8Array | null = null,
) {
  const made = declared as Method;
  const options = trainOptions({ ...trial, method: METHODS.none as Method });
  const state = from && (await decodeTraining(from, "state"));
  const members = openMembers(device, made, options.run, {
    seed: 1,
    frozen: () => ({ spec: options.run.network, values: frozenValues }),
    precision: "f32",
    lowMemory: false,
  });
  const trainer = new Trainer({
    ...options,
    method: made,
    members,
    ...(state && { position: state.position }),
    ...(sources && { sources }),
  });
  if (state) restoreTensors(trainer.learner, state, "state");
  const seen: TrainEvent[] = [];
  let file: Uint8Array | null = null;
  for await (const event of trainer.run()) {
    seen.push(event);
    if (event.type !== "checkpoint") continue;
    const { position, data } = event;
    file = await encodeTraining({ tensors: await readTensors(trainer.learner), position, data }, {});
  }
  const tensors = await readTensors(trainer.learner);
  trainer.free();
  for (const { params } of Object.values(members)) params.free();
  return { seen, tensors, file: file! };
}

const frozenValues = await trained({ network: network(1, 9), stepsPerEpoch: 1 });

const plain = ({ networks, batch: { paired }, update }: Step<string>, name: string, group: string) =>
  update(group, () => segmentationTerms(networks[name]!.run(paired).logits, paired.label));

const numbers = (values: Values | undefined) => [...values!.data];

/** A teacher and a student that train side by side. */
const together = method({
  name: "together",
  title: "two networks",
  source: "this test",
  settings: {},
  networks: ({ network: spec }) => ({
    student: { spec, group: "main" },
    teacher: { spec, group: "teacher" },
  }),
  deployed: "student",
  groups: ({ optimizer }) => ({ teacher: { ...optimizer, optimizer: "sgd", lr: 0.02, clip: 0.3 } }),
  step(context) {
    plain(context, "teacher", "teacher");
    plain(context, "student", "main");
  },
});

test("two networks with optimizers of their own train as each would alone, bit for bit", async () => {
  const both = await run(together, { stepsPerEpoch: 3 });
  const student = await trained({ stepsPerEpoch: 3 });
  const teacher = await trained({ stepsPerEpoch: 3, optimizer: { optimizer: "sgd", lr: 0.02, clip: 0.3 } });
  for (const [name, values] of Object.entries(student)) {
    assert.equal(numbers(both.tensors[name]), numbers(values), name);
    assert.equal(numbers(both.tensors[`role/teacher/${name}`]), numbers(teacher[name]), `teacher's ${name}`);
  }
  const [step] = of(both.seen, "step");
  assert.equal(Object.keys(step!.losses), [
    "total",
    "crossEntropy",
    "dice",
    "main.total",
    "main.crossEntropy",
    "main.dice",
  ]);
  const names = Object.keys(both.tensors);
  assert.ok(names.includes("optimizer.teacher/velocity.role/teacher/out_conv.weight"), names.join());
  assert.ok(names.includes("optimizer.main/mean.out_conv.weight"));
});

test("two networks resume from a state to the same bits, each optimizer with its own steps", async () => {
  const whole = await run(together, { stepsPerEpoch: 2, epochs: 2, next: fixed(), data: () => 0 });
  const half = await run(together, { stepsPerEpoch: 2, epochs: 1, next: fixed(), data: () => 0 });
  const state = await decodeTraining(half.file, "state");
  assert.equal(state.position.updates, { main: 2, teacher: 2 });
  assert.equal(state.position.epoch, 2);
  const rest = await run(together, { stepsPerEpoch: 2, epochs: 2, next: fixed(), data: () => 0 }, half.file);
  assert.is.not(numbers(whole.tensors["out_conv.weight"])[0], numbers(half.tensors["out_conv.weight"])[0]);
  assert.is(of(rest.seen, "step").length, 2);
});

/** The same batch again and again. */
function fixed() {
  const same = batch(1);
  return () => same;
}

test("a group whose gradient is not finite is skipped by itself, and the step is reported", async () => {
  const apart = method({
    ...together,
    streams: () => ({ paired: {}, other: {} }),
    step({ networks, batch: { paired, other }, update }) {
      update("main", () => segmentationTerms(networks["student"]!.run(paired).logits, paired.label));
      update("teacher", () => segmentationTerms(networks["teacher"]!.run(other).logits, other.label));
    },
  });
  let call = 0;
  const spoilt = () => {
    const drawn = batch(3);
    if (++call === 2) drawn.images.fill(NaN);
    return drawn;
  };
  const sources = { paired: { next: stream() }, other: { next: spoilt } };
  const { seen, tensors } = await run(apart, { stepsPerEpoch: 3, sources });
  assert.equal(
    of(seen, "skip").map(({ step, why }) => [step, why]),
    [[2, "loss"]],
  );
  for (const [name, values] of Object.entries(await trained({ stepsPerEpoch: 3 })))
    assert.equal(numbers(tensors[name]), numbers(values), `${name}: the student took all three steps`);
  assert.ok(numbers(tensors["role/teacher/out_conv.weight"]).every(Number.isFinite));
});

test("an averaged network follows the trained one: average ← m·average + (1 - m)·weights", async () => {
  const averaged = method({
    name: "averaged",
    title: "a mean teacher",
    source: "this test",
    settings: {},
    networks: ({ network: spec }) => ({
      student: { spec, group: "main" },
      mean: { averageOf: "student", momentum: (done) => (done === 0 ? 0.75 : 0.5) },
    }),
    deployed: "student",
    step: (context) => plain(context, "student", "main"),
  });
  const first = (await run(averaged, { stepsPerEpoch: 1, next: fixed() })).tensors;
  const start = new Params(device, { seed: 1 });
  const initial = await initialOf(start);
  const name = "block_one.conv.0.weight";
  const expected = numbers(first[name]).map((w, i) => 0.75 * initial[name]!.data[i]! + 0.25 * w);
  for (const [i, value] of numbers(first[`role/mean/${name}`]).entries())
    assert.ok(Math.abs(value - expected[i]!) < 1e-6, `${i}: ${value}, expected ${expected[i]}`);
  assert.ok(
    !Object.keys(first).some((key) => key.startsWith("optimizer.main/mean.role/")),
    "no optimizer trains it",
  );
});

async function initialOf(params: Params): Promise<Record<string, Values>> {
  const { config } = network(1);
  initialise(device, { params, config }, [8, 8, 8]);
  return params.read();
}

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
  for (const value of numbers(tensors["own/scale"])) assert.ok(Math.abs(value - 0.1) < 1e-4, String(value)); // Adam's first step is lr
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
  assert.throws(
    () => new Trainer({ ...trainOptions({ epochs: 1 }), method: phased(true) as Method }),
    /^phases: 1 epochs leave none for the phase/,
  );
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
    streams: () => ({ paired: {}, other: { cases: (index) => index % 2 === 0 } }),
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
