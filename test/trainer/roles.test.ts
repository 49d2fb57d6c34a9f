// Roles of networks beyond one student and one teacher, by small methods made here: two trained networks with
// optimizers of their own, an averaged teacher, groups that are skipped by themselves.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { segmentationTerms } from "../../model/losses/losses.ts";
import { method } from "../../model/methods/method.ts";
import { Params } from "../../model/networks/params.ts";
import { decodeTraining } from "../../trainer/loop/state.ts";
import { device } from "../support/gradcheck.ts";
import { fixed, initialOf, numbers, plain, run } from "../support/methodTrials.ts";
import { batch, of, stream, trained } from "../support/training.ts";

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

test.run();
