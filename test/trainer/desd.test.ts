// DeSD's pretraining, on networks and patches so small that a step takes a moment.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { fill, keep, Random, type Tensor } from "../../engine/index.ts";
import { desd } from "../../model/methods/desd.ts";
import { methodOf, PLAIN } from "../../model/methods/index.ts";
import { encoderShapes } from "../../model/networks/layers.ts";
import { initialise } from "../../model/networks/network.ts";
import { openMembers } from "../../trainer/loop/members.ts";
import { decodeTraining } from "../../trainer/loop/state.ts";
import type { TrainBatch } from "../../trainer/loop/options.ts";
import { device } from "../support/gradcheck.ts";
import { initialOf, numbers, run } from "../support/methodTrials.ts";
import { failure } from "../support/quietly.ts";
import { Params } from "../../model/networks/params.ts";
import { MODALITIES, of, PATCH, trainOptions, VOXELS } from "../support/training.ts";

const SETTINGS = {
  desdTaps: "deep",
  desdHidden: 12,
  desdEmbedding: 6,
  desdPrototypes: 14,
  desdNorm: "none",
  desdMomentum: 0.9,
};
const OPTIMIZER = { optimizer: "adam", lr: 3e-3, schedule: "cosine", weightDecay: 1e-6 } as const;
const TRIAL = { settings: SETTINGS, optimizer: OPTIMIZER };

const CASES = [..."abcdef"];

/** A view of a batch of patches with waves of different directions: the same waves with noise of its own. */
function view(number: number, seed: number): TrainBatch {
  const own = new Random(1000 * seed + number);
  const images = Float32Array.from({ length: CASES.length * MODALITIES * VOXELS }, (_, i) => {
    const [x, y, z] = [i % 8, Math.floor(i / 8) % 8, Math.floor(i / 64) % 8] as const;
    const along = [x, y, z, x + y, x + z, y + z][Math.floor(i / (MODALITIES * VOXELS))]!;
    return Math.sin(1.2 * along) + 0.1 * own.normal();
  });
  return { images, label: new Uint8Array(0), cases: CASES };
}

/** Patches that are all the same. */
function blank(): TrainBatch {
  return { ...view(0, 0), images: new Float32Array(CASES.length * MODALITIES * VOXELS).fill(1) };
}

/** Two streams of views, which a state resumes. */
function views(from = 0, make: typeof view = view) {
  const source = (seed: number) => {
    let drawn = from;
    return { next: () => make(drawn++, seed), state: () => drawn };
  };
  return { first: source(1), second: source(2) };
}

const WEIGHT = "block_three.conv.0.weight";

test("the student learns and its teacher follows as a moving average, both encoder and last head", async () => {
  const { tensors, seen } = await run(desd, { ...TRIAL, stepsPerEpoch: 2, epochs: 1, sources: views() });
  assert.equal(Object.keys(of(seen, "step")[0]!.losses), ["total", "E_2", "E_3"]);
  const moments = Object.keys(tensors).filter((name) => name.startsWith("optimizer.main/mean."));
  assert.ok(moments.includes(`optimizer.main/mean.role/student/${WEIGHT}`));
  assert.ok(moments.includes("optimizer.main/mean.own/E_3/w1"));
  assert.equal(
    moments.filter((name) => /teacher|center|recent|out_conv|_up/.test(name)),
    [],
    "no optimizer trains the teacher, the center, or a decoder",
  );
  const initial = await initialOf(new Params(device, { seed: 1 }));
  const student = numbers(tensors[`role/student/${WEIGHT}`]);
  assert.is.not(student[0], initial[WEIGHT]!.data[0]);
  // the first step's rate is 0, so that the average moves in the second one alone, at half of the training
  const m = 1 - (0.1 * (1 + Math.cos(Math.PI / 2))) / 2;
  numbers(tensors[`role/teacher/${WEIGHT}`]).forEach((value, i) => {
    const expected = m * initial[WEIGHT]!.data[i]! + (1 - m) * student[i]!;
    assert.ok(Math.abs(value - expected) < 1e-6, `${i}: ${value}, expected ${expected}`);
  });
  const [head, average] = [numbers(tensors["own/E_3/b1"]), numbers(tensors["own/teacher/b1"])];
  average.forEach((value, i) => assert.ok(Math.abs(value - (1 - m) * head[i]!) < 1e-7, `${i}: ${value}`));
});

test("with momentum 0 the teacher is the student of the step before, bit for bit", async () => {
  const settings = { ...SETTINGS, desdMomentum: 0 };
  const { tensors } = await run(desd, { ...TRIAL, settings, stepsPerEpoch: 1, sources: views() });
  for (const [name, values] of Object.entries(tensors)) {
    const other = name.replace("role/teacher/", "role/student/").replace("own/teacher/", "own/E_3/");
    if (other !== name) assert.equal(numbers(values), numbers(tensors[other]), name);
  }
});

test("the prototypes, and their moments, stay as they are in the first epoch and move in the second", async () => {
  const trial = { ...TRIAL, stepsPerEpoch: 3 };
  const first = (await run(desd, { ...trial, epochs: 1, sources: views() })).tensors;
  const start = (await run(desd, { ...trial, optimizer: { lr: 0 }, sources: views() })).tensors;
  const second = (await run(desd, { ...trial, epochs: 2, sources: views() })).tensors;
  for (const tap of ["E_2", "E_3", "teacher"]) {
    assert.equal(numbers(first[`own/${tap}/v`]), numbers(start[`own/${tap}/v`]), tap);
    assert.is.not(numbers(second[`own/${tap}/v`])[0], numbers(start[`own/${tap}/v`])[0], tap);
  }
  assert.ok(numbers(first["optimizer.main/square.own/E_2/v"]).every((moment) => moment === 0));
  assert.is.not(numbers(first["own/E_2/w3"])[0], numbers(start["own/E_2/w3"])[0]);
});

test("the last level alone has one head, and batch norm in a head has a weight and a bias for each layer", async () => {
  const settings = { ...SETTINGS, desdTaps: "last", desdNorm: "batch" };
  const { tensors, seen } = await run(desd, { ...TRIAL, settings, stepsPerEpoch: 2, sources: views() });
  assert.equal(Object.keys(of(seen, "step")[0]!.losses), ["total", "E_3"]);
  const heads = Object.keys(tensors).filter((name) => /^own\/E/.test(name));
  assert.equal(
    heads,
    ["w1", "n1", "m1", "w2", "n2", "m2", "w3", "b3", "v"].map((name) => `own/E_3/${name}`),
  );
  assert.ok(numbers(tensors["own/teacher/n1"]).every(Number.isFinite));
});

test("a pretraining lowers its loss, and records the entropies that it watches", async () => {
  const settings = { ...SETTINGS, desdNorm: "batch", desdPrototypes: 32, desdMomentum: 0.98 };
  const trial = { ...TRIAL, settings, stepsPerEpoch: 12, epochs: 10, sources: views() };
  const { seen } = await run(desd, trial);
  const records = of(seen, "epoch").map(({ record }) => record);
  const [first, last] = [records[0]!.losses["total"]!, records.at(-1)!.losses["total"]!];
  assert.ok(last < 0.7 * first, `from ${first} to ${last}`);
  for (const { observed, validation, score } of records) {
    assert.equal(Object.keys(observed!), ["entropy/mean", "entropy/sample"]);
    assert.ok(Object.values(observed!).every((entropy) => entropy >= 0 && entropy <= 1.001));
    assert.equal([validation, score], [undefined, undefined]);
  }
  assert.ok(
    of(seen, "epoch").every(({ best }) => best),
    "every epoch's teacher replaces the one before",
  );
});

test("the rate rises over the first tenth and falls along a cosine, step by step", async () => {
  const trial = { ...TRIAL, stepsPerEpoch: 10, epochs: 2, sources: views() };
  const rates = of((await run(desd, trial)).seen, "step").map(({ lr }) => lr);
  assert.equal(rates.slice(0, 2), [0, 1.5e-3]);
  assert.is(rates[2], 3e-3);
  assert.ok(rates.slice(2).every((rate, i, all) => i === 0 || rate < all[i - 1]!));
  assert.ok(Math.abs(rates[11]! - 1.5e-3) < 1e-10, `${rates[11]}`);
});

test("a pretraining that collapses is stopped with its cause and remedy", async () => {
  const trial = { ...TRIAL, optimizer: { lr: 0 }, stepsPerEpoch: 320, sources: views(0, blank) };
  const even = await failure(() => run(desd, trial));
  assert.is(even.name, "CollapseError", even.message);
  assert.match(even.message, /^step 2\d\d: the pretraining has collapsed: .* say nothing of any patch/);
  assert.match(even.message, /9[89]\.\d % of the most possible, and should be below 98 %.*--desd-norm batch/);
  const peaked = desd.judge!({ "entropy/mean": 0.49, "entropy/sample": 0.1 }, 0.2);
  assert.match(peaked!, /nearly the same of all patches .* 49\.0 % .* above 50 %.*--lr/);
  for (const [observed, done] of [
    [{ "entropy/mean": 0.49, "entropy/sample": 0.99 }, 0.05],
    [{ "entropy/mean": 0.51, "entropy/sample": 0.97 }, 0.2],
  ] as const)
    assert.is(desd.judge!(observed, done), null);
});

test("a teacher that says the same of all patches lowers the recent entropy of its mean prediction", async () => {
  let center: Tensor | null = null;
  const uncentred = {
    ...desd,
    step: (context: Parameters<typeof desd.step>[0]) => {
      center ??= keep(fill(device, [1, 14], 0));
      desd.step({ ...context, own: { ...context.own, center } });
      context.after(() => center!.write(new Float32Array(14))); // nothing is ever subtracted
    },
  };
  const trial = { ...TRIAL, optimizer: { lr: 0 }, stepsPerEpoch: 120, sources: views(0, blank) };
  const stopped = await failure(() => run(uncentred, trial));
  assert.match(
    stopped.message,
    /^step \d+: the pretraining has collapsed: .* nearly the same of all patches/,
  );
});

test("a resumed pretraining ends with the same bits", async () => {
  const clock = () => (clock.now += 3000);
  clock.now = 0;
  const trial = { ...TRIAL, epochs: 2, stepsPerEpoch: 3, now: clock };
  const whole = await run(desd, { ...trial, sources: views() });
  for (const file of [whole.files[2]!, whole.files[4]!, whole.files[6]!]) {
    const { position, data } = await decodeTraining(file, "state");
    const again = await run(desd, { ...trial, sources: views(data["first"] as number) }, file);
    const where = `from epoch ${position.epoch}, step ${position.done}`;
    for (const [name, values] of Object.entries(whole.tensors))
      assert.equal(numbers(again.tensors[name]), numbers(values), `${where}: ${name}`);
    assert.equal(
      of(again.seen, "epoch").at(-1)!.record.observed,
      of(whole.seen, "epoch").at(-1)!.record.observed,
      where,
    );
  }
});

test("a later stage takes the encoder bit for bit, and draws the decoder as without one", async () => {
  const { run: later } = trainOptions();
  const { config } = later.network;
  const random = new Random(5);
  const encoder = Object.fromEntries(
    [...encoderShapes(config)].map(([name, shape]) => {
      const size = shape.reduce((a, b) => a * b, 1);
      return [name, { shape, data: Float32Array.from({ length: size }, () => random.normal()) }];
    }),
  );
  const weights = async (initEncoder: typeof encoder | null) => {
    const options = { seed: 3, precision: "f32", lowMemory: false, initEncoder } as const;
    const none = () => {
      throw new Error("no teacher");
    };
    const { student } = openMembers(device, methodOf(PLAIN), later, { ...options, frozen: none });
    initialise(device, student!, PATCH);
    return student!.params.read();
  };
  const [scratch, pretrained] = [await weights(null), await weights(encoder)];
  assert.equal(Object.keys(pretrained), Object.keys(scratch));
  for (const [name, values] of Object.entries(pretrained))
    assert.equal(numbers(values), numbers(name in encoder ? encoder[name] : scratch[name]), name);
  assert.ok(Object.keys(scratch).length > Object.keys(encoder).length);
});

test.run();
