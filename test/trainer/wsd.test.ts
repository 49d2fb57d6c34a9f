// WSD: its phases and what they train, its controls, and that it resumes, on networks so small that a step
// takes a moment.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { binaryLosses, classCounts, Random, regionsPresent } from "../../engine/index.ts";
import { defaultSettings, type Method, type Runnable } from "../../model/methods/index.ts";
import { method, type TrainedOwn } from "../../model/methods/method.ts";
import { REGION_CLASSES } from "../../model/methods/segmentation.ts";
import { wsd } from "../../model/methods/wsd.ts";
import { CLASSIFIER_HEAD, vnetClassifier } from "../../model/networks/classifier.ts";
import { decodeTraining } from "../../trainer/loop/state.ts";
import type { TrainBatch } from "../../trainer/loop/options.ts";
import { checkResumes, type MethodTrial, numbers, rolled, run, taughtBy } from "../support/methodTrials.ts";
import { device } from "../support/gradcheck.ts";
import { batch, initialise, NAMES, network, of, PATCH, trained, VOXELS } from "../support/training.ts";

const SETTINGS = defaultSettings(wsd as unknown as Method);
const OFF = { featureWeight: 0, scoreWeight: 0 };

/** The batches of batch(), where one of both patches has no tumour, and the other lacks a class at times. */
function half(): () => TrainBatch {
  let seed = 100;
  return () => {
    const made = batch((seed += 2));
    made.label.fill(0, 0, VOXELS);
    if (seed % 4) for (const [i, k] of made.label.entries()) if (k === 1) made.label[i] = 0;
    return made;
  };
}

const { config } = network(3, 9);
const VALUES = await trained({ network: network(3, 9), channels: [0, 1, 2], stepsPerEpoch: 4 });
const frozen = () => ({ spec: { config, modalities: NAMES }, values: VALUES });
const untaught = () => {
  throw new Error("no teacher runs");
};

const train = (settings: object = {}, more: MethodTrial = {}, declared: unknown = wsd) =>
  run(declared, {
    frozen,
    settings: { ...SETTINGS, ...settings },
    next: half(),
    epochs: 2,
    stepsPerEpoch: 3,
    ...more,
  });

type Outcome = Awaited<ReturnType<typeof run>>;

const lossesOf = ({ seen }: Outcome) => of(seen, "step").map(({ losses }) => losses);

/** The weights without optimizers' states. */
const weightsOf = ({ tensors }: Outcome) =>
  Object.entries(tensors)
    .filter(([name]) => !name.startsWith("optimizer."))
    .map(([name, values]) => [name, numbers(values)] as const);

/** Throws unless every step was taken, and its losses are finite. */
function isFinite(outcome: Outcome): void {
  assert.is(lossesOf(outcome).length, 6);
  for (const losses of lossesOf(outcome))
    for (const [term, value] of Object.entries(losses)) assert.ok(Number.isFinite(value), term);
}

const changed = (a: Outcome, b: Outcome) => {
  const [before, after] = [Object.fromEntries(weightsOf(a)), weightsOf(b)];
  return after.filter(([name, values]) => `${values}` !== `${before[name]}`).map(([name]) => name);
};

test("first the encoder learns features and the detector its bits, then the student presence alone", async () => {
  const start = await train({}, { optimizer: { lr: 0 } });
  const first = await train({}, { maxSeconds: 0 });
  const names = lossesOf(first).map((losses) => Object.keys(losses));
  const features = ["total", "features", "detector.total", "detector.detection"];
  const presence = ["total", "presence", "scores"];
  assert.equal(names, [features, features, features, presence, presence, presence]);
  const detector = ["own/class/weight", "own/class/bias", "own/detection/weight", "own/detection/bias"];
  assert.ok(detector.every((name) => changed(start, first).includes(name)));
  assert.ok(changed(start, first).includes("own/scale"));
  assert.ok(changed(start, first).includes("presence.weight"));
  for (const losses of lossesOf(first))
    for (const [term, value] of Object.entries(losses)) assert.ok(Number.isFinite(value) && value > 0, term);
});

test("the head and its scale stay in the first phase, the detector in the second", async () => {
  const start = await train({}, { optimizer: { lr: 0 } });
  let clock = 0; // so slow that each step gives a state
  const trial = { epochs: 4, stepsPerEpoch: 1, now: () => (clock += 3000) };
  const { files, seen } = await train({}, trial);
  assert.is(of(seen, "epoch").length, 4);
  const state = async (index: number) => {
    const { tensors } = await decodeTraining(files[index]!, "state");
    return { tensors } as unknown as Outcome;
  };
  const [middle, end] = [await state(4), await state(files.length - 1)];
  const moved = changed(start, middle);
  for (const name of [...CLASSIFIER_HEAD, "own/scale"]) assert.not.ok(moved.includes(name), name);
  assert.ok(moved.includes("block_three.conv.0.weight") && moved.includes("own/class/weight"));
  const later = changed(middle, end);
  assert.not.ok(later.some((name) => /own\/(class|detection)/.test(name)));
  for (const name of [...CLASSIFIER_HEAD, "own/scale", "block_three.conv.0.weight"])
    assert.ok(later.includes(name), name);
});

test("the head is trained as the checkpoint has it: the V-Net's encoder, and a matrix of three rows", async () => {
  const { tensors } = await train();
  const names = Object.keys(tensors).filter((name) => !/^(optimizer|own)/.test(name));
  assert.equal(names, [...vnetClassifier.tensors({ ...network(1).config }).keys()]);
  assert.not.ok(names.some((name) => /_up|out_conv/.test(name)));
  assert.equal(tensors["presence.weight"]!.shape, [3, 8]);
});

/** A classifier that learns from bits alone, written without WSD. */
const plain = method({
  name: "plain",
  title: "plain",
  source: "",
  settings: {},
  networks: ({ network: { config: sizes, modalities } }) => ({
    student: { spec: { config: sizes, modalities, architecture: vnetClassifier }, group: "main" },
  }),
  deployed: "student",
  step({ networks: { student }, batch: { paired }, update }) {
    update("main", () => {
      const bits = regionsPresent(classCounts(paired.label, 4), REGION_CLASSES);
      return { presence: [3, binaryLosses(student.run(paired).logits, bits).crossEntropy] };
    });
  },
});

test("C0: without weights it is a classifier trained on the bits alone, bit for bit, without a teacher", async () => {
  const [off, alone] = [await train(OFF, { frozen: untaught }), await train({}, {}, plain)];
  assert.equal(weightsOf(off), weightsOf(alone));
  assert.equal(lossesOf(off), lossesOf(alone));
  assert.not.equal(weightsOf(await train()), weightsOf(alone));
});

test("C1: a teacher of other cases teaches something else, and the same one the same", async () => {
  const usual = await train();
  const shuffled = await train(
    {},
    {},
    taughtBy(wsd as unknown as Method, (teacher) => rolled(teacher)),
  );
  for (const [i, term] of [
    [0, "features"],
    [0, "detector.detection"],
    [3, "scores"],
  ] as const)
    assert.is.not(lossesOf(shuffled)[i]![term], lossesOf(usual)[i]![term], term);
  assert.not.equal(weightsOf(shuffled), weightsOf(usual));
  assert.equal(weightsOf(await train()), weightsOf(usual));
});

test("C2: a twin of the student, which sees its contrast alone, teaches something else", async () => {
  const made = network(1, 9);
  const values = await trained({ network: made, channels: [1], stepsPerEpoch: 4 });
  const twin = await train(
    {},
    { frozen: () => ({ spec: { config: made.config, modalities: [NAMES[1]!] }, values }) },
  );
  isFinite(twin);
  assert.not.equal(weightsOf(twin), weightsOf(await train()));
});

test("C3: an untrained teacher's terms are finite", async () => {
  const made = network(3, 9);
  initialise(device, made, PATCH);
  const values = await made.params.read();
  made.params.free();
  isFinite(await train({}, { frozen: () => ({ ...frozen(), values }) }));
});

test("C4: a teacher with the student's own features has none to teach", async () => {
  const itself = taughtBy(wsd as unknown as Method, (_, student: Runnable) => student);
  const validate = () => Promise.resolve({ WT: 0, TC: 0, ET: 0, mean: 0 });
  const { seen } = await train({ scoreWeight: 0 }, { validate }, itself);
  assert.equal(
    of(seen, "step").map(({ losses }) => losses["features"]),
    [0, 0, 0, undefined, undefined, undefined],
  );
  assert.equal(of(seen, "epoch")[0]!.record.gradients, { logits: { features: 0 }, E_3: { features: 0 } });
});

test("each weight alone: features without a detector, and a detector without features", async () => {
  const features = await train({ scoreWeight: 0 });
  assert.not.ok(Object.keys(features.tensors).some((name) => name.startsWith("own/")));
  assert.equal(Object.keys(lossesOf(features)[5]!), ["total", "presence"]);
  const scores = await train({ featureWeight: 0 });
  assert.equal(Object.keys(lossesOf(scores)[0]!), ["total", "detection"]);
  assert.equal(Object.keys(lossesOf(scores)[5]!), ["total", "presence", "scores"]);
});

test("on cases that lack a contrast of the teacher, the bits alone teach, in both phases", async () => {
  const next = half();
  const lacking = () => ({ ...next(), absent: [["t2"], ["t2"]] });
  const { seen } = await train({}, { next: lacking, frozen: () => ({ ...frozen() }) });
  for (const losses of lossesOf({ seen } as Outcome))
    assert.equal(Object.keys(losses), ["total", "presence"]);
});

test("a training resumes with the same bits, in each of its phases", async () => {
  await checkResumes(wsd, { frozen, settings: SETTINGS });
});

/** The batches of half(), with NaN in a channel of the first patch of the given ones. */
function poisoned(poison: readonly number[], channel: number): () => TrainBatch {
  const next = half();
  let drawn = 0;
  return () => {
    const made = next();
    if (poison.includes(++drawn)) made.images.fill(NaN, channel * VOXELS, (channel + 1) * VOXELS);
    return made;
  };
}

const skips = ({ seen }: Outcome) => of(seen, "skip").map(({ step }) => step);
const numbersOf = ({ tensors }: Outcome) => Object.values(tensors).flatMap((values) => numbers(values));

test("NaN in a batch is skipped in both phases, by the student as by the detector", async () => {
  for (const channel of [0, 1, 2]) {
    const outcome = await train({}, { next: poisoned([2, 5], channel) });
    assert.equal([...new Set(skips(outcome))], [2, 5], `channel ${channel}`);
    assert.ok(numbersOf(outcome).every(Number.isFinite), `channel ${channel}`);
  }
});

test("features whose loss overflows are skipped alone: the detector still takes its steps", async () => {
  const first = { epochs: 2, stepsPerEpoch: 2 };
  const [usual, spoilt] = [await train({}, first), await train({ featureWeight: 3e38 }, first)];
  assert.equal(skips(spoilt), [1, 2]);
  const detector = (outcome: Outcome) =>
    weightsOf(outcome).filter(([name]) => /own\/(class|detection)/.test(name));
  assert.is(detector(usual).length, 4);
  assert.equal(detector(spoilt), detector(usual));
});

test("the best network of the first phase does not count in the second", async () => {
  const scores = [0.9, 0.4];
  const validate = () => {
    const mean = scores.shift()!;
    return Promise.resolve({ WT: mean, TC: mean, ET: mean, mean });
  };
  const { seen } = await train({}, { validate });
  assert.equal(
    of(seen, "epoch").map(({ best, record }) => [best, record.validation!.mean, record.score]),
    [
      [true, 0.9, "AUC"],
      [true, 0.4, "AUC"],
    ],
  );
});

/** A patch of noise, and one with a bright block of necrosis, which the student's contrast shows. */
function blocks(): () => TrainBatch {
  let seed = 100;
  return () => {
    const made = batch((seed += 2));
    const random = new Random(seed);
    made.images.forEach((_, i) => (made.images[i] = 0.3 * random.normal()));
    made.label.fill(0);
    const corner = [0, 1, 2].map(() => random.integer(5));
    for (let i = 0; i < VOXELS; i++) {
      const place = [i >> 6, (i >> 3) & 7, i & 7];
      if (!place.every((x, axis) => x >= corner[axis]! && x < corner[axis]! + 4)) continue;
      made.label[VOXELS + i] = 2;
      made.images[(3 + 1) * VOXELS + i]! += 6;
    }
    return made;
  };
}

test("the classifier learns to tell patches with a tumour from those without", async () => {
  const own = network(1, 1, "batch"); // instance norm hides how bright a patch is
  const many = { epochs: 2, stepsPerEpoch: 40, optimizer: { lr: 2e-2 }, next: blocks(), network: own };
  const losses = lossesOf(await train({}, many)).map((step) => step["presence"]!);
  const mean = (some: readonly number[]) => some.reduce((a, b) => a + b) / some.length;
  assert.ok(mean(losses.slice(70)) < 0.6 * mean(losses.slice(40, 46)), `${losses.slice(40)}`);
});

test("a teacher of another size is refused where features are compared, and no network teaches itself", () => {
  const other = { ...config, filters: 4 };
  const own = () => wsd.own!({ settings: SETTINGS } as never, specs as never);
  const specs = { student: { config, modalities: ["t1"] }, teacher: { config: other, modalities: NAMES } };
  assert.throws(own, /expected 2 filters and 3 levels, got 4 and 3: .*--feature-weight 0/);
  const free = wsd.own!({ settings: { ...SETTINGS, featureWeight: 0 } } as never, specs as never);
  assert.equal((free["class/weight"] as TrainedOwn).shape, [3, 16]);
  const itself = { settings: SETTINGS, network: specs.student, selfTaught: true };
  assert.throws(() => wsd.networks(itself as never), /--teacher self: WSD needs a teacher that segments/);
});

test("half of a batch is placed where there is no tumour, and the classifier has batch norm", () => {
  assert.equal(wsd.streams!({} as never), { paired: { healthy: 0.5 } });
  assert.equal(wsd.defaults, { norm: "batch" });
});

test.run();
