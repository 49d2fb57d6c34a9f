// AMTML-KD on tiny batches: without its terms it is plain supervision; it depends on whose predictions the
// teachers show; it learns which teacher to trust; its second phase begins anew and holds what it learned.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { add, keep, tensor } from "../../engine/index.ts";
import { defaultSettings, frozenStages, type Method, METHODS } from "../../model/methods/index.ts";
import type { OwnTensor, Run, Runnable } from "../../model/methods/method.ts";
import type { Network } from "../../model/networks/network.ts";
import { decodeTraining } from "../../trainer/loop/state.ts";
import type { FrozenNetwork } from "../../trainer/loop/members.ts";
import { device, random } from "../support/gradcheck.ts";
import { checkResumes, fixed, numbers, rolled, run } from "../support/methodTrials.ts";
import { failure } from "../support/quietly.ts";
import { initialise, NAMES, network, of, PATCH, trained, trainOptions } from "../support/training.ts";

const METHOD = METHODS.amtml as Method;
const USUAL = defaultSettings(METHOD);
const OFF = { softWeight: 0, angleWeight: 0, hintWeight: 0 };

interface Sizes {
  filters?: number;
  levels?: number;
}

/** A teacher of one modality, or of all, that was trained for some steps. */
async function teacher(name: string, steps: number, sizes: Sizes): Promise<FrozenNetwork> {
  const channels = name === "teacher" ? [0, 1, 2] : [NAMES.indexOf(name as "t1")];
  const { params, config } = network(channels.length, 9 + channels[0]!);
  const made: Network = { params, config: { ...config, ...sizes } };
  const spec = { config: made.config, modalities: channels.map((c) => NAMES[c]!) };
  if (steps > 0) return { spec, values: await trained({ network: made, channels, stepsPerEpoch: steps }) };
  initialise(device, made, PATCH);
  const values = await params.read();
  params.free();
  return { spec, values };
}

/** The frozen networks of a run, by their stages. */
async function teachers(steps = 4, sizes: Sizes = {}): Promise<(stage: string) => FrozenNetwork> {
  const found = new Map<string, FrozenNetwork>();
  for (const name of [...NAMES, "teacher"])
    found.set(name === "teacher" ? name : `student_${name}`, await teacher(name, steps, sizes));
  return (stage: string) => found.get(stage)!;
}

const TAUGHT = await teachers();
const trial = (settings: Record<string, unknown> = {}, frozen = TAUGHT) => ({
  frozen,
  settings: { ...USUAL, ...settings },
  epochs: 2,
  stepsPerEpoch: 3,
});
type Networks = Readonly<Record<string, Runnable>>;

/** The method with some of its networks changed. */
function withNetworks({ step, ...rest }: Method, change: (networks: Networks) => Networks): Method {
  return {
    ...rest,
    step: (context) => step({ ...context, networks: { ...context.networks, ...change(context.networks) } }),
  };
}

/** The losses of a run's steps, and its parameters without those that only training has. */
function outcome({ seen, tensors }: Awaited<ReturnType<typeof run>>) {
  const values = Object.entries(tensors).filter(([name]) => !/^own\/|\.own\//.test(name));
  return {
    losses: of(seen, "step").map((step) => step.losses),
    values: values.map(([name, value]) => [name, numbers(value)]),
  };
}

const lossesOf = ({ seen }: Awaited<ReturnType<typeof run>>) => of(seen, "step").map(({ losses }) => losses);

test("with all weights 0 it is plain supervision, bit for bit, in one phase and without any teacher", async () => {
  const off = await run(METHOD, {
    ...trial(OFF),
    frozen: () => {
      throw new Error("a teacher");
    },
  });
  assert.equal(outcome(off), outcome(await run(METHODS.none, { epochs: 2, stepsPerEpoch: 3 })));
  assert.not.ok(Object.keys(off.tensors).some((name) => name.startsWith("own/")));
});

test("its teachers are single contrasts unless they are named", () => {
  const stages = (settings: object) =>
    frozenStages(METHOD, { ...trainOptions().run, settings: { ...USUAL, ...settings } });
  assert.equal(stages({}), ["student_t1", "student_t2", "student_flair"]);
  assert.equal(stages({ teachers: "t1ce+flair,teacher" }), ["student_t1ce+flair", "teacher"]);
  assert.equal(stages(OFF), []);
  const selfTaught = { ...trainOptions().run, settings: USUAL, selfTaught: true } as Run<never>;
  assert.throws(() => METHOD.networks(selfTaught), /^--teacher self: AMTML-KD needs teachers that do not/);
});

test("its terms add up with their weights; only the first phase keeps θ and W small", async () => {
  const steps = lossesOf(await run(METHOD, trial()));
  const [first, last] = [steps[0]!, steps.at(-1)!];
  const terms = ["total", "crossEntropy", "dice", "mixture", "angle", "hint"];
  assert.equal(Object.keys(first), [...terms, "regulariser"]);
  assert.equal(Object.keys(last), terms);
  for (const { regulariser = 0, ...step } of steps) {
    const { total, crossEntropy, dice, mixture, angle, hint } = step as Record<string, number>;
    const sum = 0.3 * (crossEntropy! + dice!) + 35 * mixture! + angle! + hint! + 0.1 * regulariser;
    assert.ok(Math.abs(total! / sum - 1) < 1e-5, `${total} is not ${sum}`);
    for (const [name, value] of Object.entries(step)) assert.ok(value > 0, name);
  }
});

test("it depends on whose predictions and features the teachers show", async () => {
  const [usual] = lossesOf(await run(METHOD, trial()));
  for (const name of NAMES) {
    const other = withNetworks(METHOD, (networks) => ({ [name]: rolled(networks[name]!) }));
    const [shuffled] = lossesOf(await run(other, trial()));
    for (const term of ["mixture", "angle", "hint"])
      assert.is.not(shuffled![term], usual![term], `${name}: ${term}`);
    assert.is(shuffled!["crossEntropy"], usual!["crossEntropy"]);
  }
});

test("a twin, which sees the student's contrast alone, teaches something else", async () => {
  const settings = { teachers: "t1" };
  const values = async (frozen: typeof TAUGHT) => outcome(await run(METHOD, trial(settings, frozen))).values;
  const [twin, usual] = [await values(() => TAUGHT("student_t2")), await values(TAUGHT)];
  assert.not.equal(twin, usual);
  for (const [name, numbers] of twin) assert.ok((numbers as number[]).every(Number.isFinite), String(name));
});

test("teachers with the student's own outputs have nothing to teach", async () => {
  const itself = withNetworks(METHOD, ({ student }) => ({ t1: student!, flair: student! }));
  const settings = { teachers: "t1,flair", hintWeight: 0, regularisation: 0 };
  const validate = () => Promise.resolve({ WT: 0, TC: 0, ET: 0, mean: 0 });
  const { seen } = await run(itself, { ...trial(settings), validate });
  for (const { losses } of of(seen, "step"))
    for (const term of ["mixture", "angle"]) assert.ok(losses[term]! < 1e-6, `${term}: ${losses[term]}`);
  for (const { record } of of(seen, "epoch"))
    for (const { mixture = 0, angle = 0, crossEntropy } of Object.values(record.gradients!)) {
      assert.ok(mixture < 1e-5, `the mixture's gradient: ${mixture}`);
      assert.ok(angle < 0.02, `the angles' gradient: ${angle}`); // rounding: class means are close together
      assert.ok(crossEntropy === undefined || crossEntropy > 1e-3, `${crossEntropy}`);
    }
});

test("the plain average of the teachers is what θ = 0 gives, bit for bit", async () => {
  const still = (all: Readonly<Record<string, OwnTensor>>) =>
    Object.entries(all).map(([name, own]): [string, OwnTensor] => {
      if (name === "theta") return [name, { ...own, init: { value: 0 }, rate: 0 }];
      return [name, name === "W" ? { ...own, rate: 0 } : own];
    });
  const zero = {
    ...METHOD,
    own: (...given: Parameters<NonNullable<Method["own"]>>) =>
      Object.fromEntries(still(METHOD.own!(...given))),
  };
  const settings = { teachers: "t1,flair", regularisation: 0 };
  const adaptive = await run(zero, trial(settings));
  const average = await run(METHOD, trial({ ...settings, mixing: "average" }));
  assert.equal(outcome(average), outcome(adaptive));
  assert.not.ok("own/theta" in average.tensors);
  for (const { observed } of of(adaptive.seen, "step"))
    assert.equal(observed, { "teacherWeight/t1": 0.5, "teacherWeight/flair": 0.5 });
  const learned = await run(METHOD, trial(settings));
  assert.not.equal(outcome(learned).values, outcome(average).values);
});

test("the mean weight of a teacher whose logits are noise falls", async () => {
  const noise = random([2, 4, ...PATCH], { seed: 3 });
  const added = keep(
    tensor(
      device,
      noise.shape,
      noise.data.map((value) => 30 * value),
    ),
  );
  const spoilt = ({ run: plain, ...rest }: Runnable): Runnable => ({
    ...rest,
    run(input, how) {
      const output = plain(input, how);
      return { ...output, logits: add(output.logits, added) };
    },
  });
  const noisy = withNetworks(METHOD, ({ t1 }) => ({ t1: spoilt(t1!) }));
  const settings = { angleWeight: 0, hintWeight: 0, regularisation: 0 };
  const { seen } = await run(noisy, { ...trial(settings), stepsPerEpoch: 40, optimizer: { lr: 0.05 } });
  const weights = of(seen, "step").map(({ observed }) => observed!["teacherWeight/t1"]!);
  assert.ok(weights[39]! < 0.5 * weights[0]!, weights.map((w) => w.toFixed(3)).join(" "));
  const [first] = of(seen, "epoch");
  const mean = weights.slice(0, 40).reduce((sum, w) => sum + w, 0) / 40;
  assert.ok(Math.abs(first!.record.observed!["teacherWeight/t1"]! - mean) < 1e-12);
  const sum = Object.values(first!.record.observed!).reduce((all, w) => all + w, 0);
  assert.ok(Math.abs(sum - 1) < 1e-5, String(sum));
});

test("the second phase leaves θ, W and the adapters as they are, and the student begins anew", async () => {
  const { seen, tensors, files } = await run(METHOD, { ...trial(), next: fixed() });
  const states = await Promise.all(files.map((file) => decodeTraining(file, "state")));
  const { tensors: middle } = states.find(({ position: { epoch, done } }) => epoch === 2 && done === 0)!;
  const own = Object.keys(tensors).filter((name) => name.startsWith("own/"));
  const taps = ["E_3", "D_2", "D_1"];
  assert.equal(own, ["own/theta", "own/W", ...taps.map((tap) => `own/adapter/${tap}`)]);
  for (const name of own) {
    assert.equal(numbers(tensors[name]), numbers(middle[name]), name);
    assert.not.equal(numbers(middle[name]), numbers(states[0]!.tensors[name]), `${name} is trained before`);
  }
  const steps = of(seen, "step").map(({ losses }) => losses);
  for (const term of ["crossEntropy", "dice"]) {
    assert.is(steps[3]![term], steps[0]![term], "the same batch, the first weights");
    assert.is.not(steps[2]![term], steps[0]![term]);
  }
});

test("it resumes to the same bits in each phase", () =>
  checkResumes(METHOD, trial({ teachers: "teacher,t1" })));

test("it trains with untrained teachers, and with teachers of other widths", async () => {
  for (const frozen of [await teachers(0), await teachers(1, { filters: 3, levels: 3 })]) {
    const { seen, tensors } = await run(METHOD, trial({}, frozen));
    assert.is(of(seen, "step").length, 6);
    for (const [name, { data }] of Object.entries(tensors)) assert.ok(data.every(Number.isFinite), name);
  }
});

test("a teacher without features of the student's sizes is refused, unless none are compared", async () => {
  const frozen = await teachers(1, { levels: 2 });
  assert.match(
    (await failure(() => run(METHOD, trial({}, frozen)))).message,
    /^--teachers: .* the student's E_3 .* the teacher t1 of 2 levels lacks: train it .* or use --hint-weight 0$/,
  );
  assert.is(of((await run(METHOD, trial({ hintWeight: 0 }, frozen))).seen, "step").length, 6);
});

test("with nothing of its own to train it has one phase", async () => {
  const settings = { mixing: "average", hintWeight: 0 };
  const { seen } = await run(METHOD, { ...trial(settings), epochs: 1 });
  assert.equal(Object.keys(of(seen, "step")[0]!.losses), [
    "total",
    "crossEntropy",
    "dice",
    "mixture",
    "angle",
  ]);
  const angles = await run(METHOD, { ...trial({ ...OFF, angleWeight: 1 }), epochs: 1 });
  assert.equal(Object.keys(of(angles.seen, "step")[0]!.losses), ["total", "crossEntropy", "dice", "angle"]);
});

test.run();
