// Controls of every method with a teacher, on tiny batches:
// C0 with all its weights 0 it is plain supervision, bit for bit;
// C1 a teacher that shows each case what it saw of another one changes the result;
// C2 a twin, a teacher that sees the student's contrast alone, teaches something else;
// C3 an untrained teacher's terms are finite;
// C4 a teacher with the student's own outputs has nothing to teach: see `identical` below.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { defaultSettings, type Method, methodOf, METHODS, type Runnable } from "../../model/methods/index.ts";
import type { Values } from "../../model/networks/params.ts";
import type { FrozenNetwork } from "../../trainer/loop/members.ts";
import type { TrainBatch } from "../../trainer/loop/options.ts";
import { device } from "../support/gradcheck.ts";
import { type MethodTrial, numbers, rolled, run, taughtBy } from "../support/methodTrials.ts";
import { initialise, MODALITIES, NAMES, network, of, PATCH, stream, trained } from "../support/training.ts";

/** A term where the teacher's outputs are the student's: its value is 0 or not, and its gradient. */
interface Identical {
  value: 0 | "positive";
  gradient: 0 | "positive";
}

const ZERO: Identical = { value: 0, gradient: 0 };

interface Control {
  method: string;
  settings?: Readonly<Record<string, unknown>>;
  /** Every term of the teacher in C4. */
  identical: Readonly<Record<string, Identical>>;
}

/** Barlow Twins is least where channels do not correlate: equal bottlenecks do not make its rest 0. */
const TWINS = { barlow: { value: "positive", gradient: "positive" } } as const;

const CONTROLS: readonly Control[] = [
  { method: "kd", identical: { kd: ZERO } },
  { method: "kd", settings: { kdUnits: "hinton" }, identical: { kd: ZERO } },
  { method: "protokd", identical: { kd: ZERO, prototype: ZERO } },
  {
    method: "kdnet",
    // The cross-entropy of a soft target with itself is its entropy, which is least there.
    identical: { softCrossEntropy: { value: "positive", gradient: 0 }, softDice: ZERO, bottleneck: ZERO },
  },
  {
    method: "pmkl",
    // The teacher is nowhere better; but two MLPs embed the same features in different places.
    identical: { masked: ZERO, contrastive: { value: "positive", gradient: "positive" } },
  },
  { method: "barlow", identical: TWINS },
  { method: "barlow", settings: { barlowTeacher: "frozen" }, identical: TWINS },
  { method: "adain", identical: { statistics: ZERO, adain: ZERO } },
];

/** A network that another stage trained, on the contrasts of these channels; untrained with 0 steps. */
async function frozenOf(channels: readonly number[], steps: number): Promise<() => FrozenNetwork> {
  const made = network(channels.length, 9);
  const spec = { config: made.config, modalities: channels.map((c) => NAMES[c]!) };
  let values: Record<string, Values>;
  if (steps > 0) values = await trained({ network: made, channels, stepsPerEpoch: steps });
  else {
    initialise(device, made, PATCH);
    values = await made.params.read();
    made.params.free();
  }
  return () => ({ spec, values });
}

const EVERY = [0, 1, 2];
const OWN = 1; // the student's channel
const TAUGHT = await frozenOf(EVERY, 4);
const UNTRAINED = await frozenOf(EVERY, 0);
const TWIN = await frozenOf([OWN], 4);
const PLAIN = await run(METHODS.none, { stepsPerEpoch: 3 });

/** The batches of stream(), without the contrasts that the student does not see. */
function alone(): () => TrainBatch {
  const next = stream();
  return () => {
    const { images, ...rest } = next();
    const size = images.length / 2 / MODALITIES;
    const ofCase = (n: number) => images.subarray((n * MODALITIES + OWN) * size).subarray(0, size);
    return { ...rest, images: Float32Array.from([...ofCase(0), ...ofCase(1)]) };
  };
}

type Outcome = Awaited<ReturnType<typeof run>>;

const lossesOf = ({ seen }: Outcome) => of(seen, "step").map(({ losses }) => losses);

/** The student's weights. */
const weightsOf = ({ tensors }: Outcome) =>
  Object.keys(PLAIN.tensors).map((name) => [name, numbers(tensors[name])] as const);

function isFinite(outcome: Outcome): void {
  assert.is(lossesOf(outcome).length, 3, "no step is skipped");
  for (const losses of lossesOf(outcome))
    for (const [term, value] of Object.entries(losses)) assert.ok(Number.isFinite(value), term);
}

for (const { method: name, settings = {}, identical } of CONTROLS) {
  const method = methodOf(name);
  const own = { ...defaultSettings(method), ...settings };
  const title = [name, ...Object.values(settings)].join(" ");
  const isFrozen = Object.values(
    method.networks({ settings: own, network: {}, modalities: [] } as never),
  ).some((role) => "frozen" in role);
  const train = (changed: Method = method, more: MethodTrial = {}) =>
    run(changed, { frozen: TAUGHT, settings: own, stepsPerEpoch: 3, ...more });
  const usual = await train();

  test(`${title}, C0: without weights it is plain supervision, bit for bit`, async () => {
    const weights = Object.keys(method.settings).filter((key) => key.endsWith("Weight"));
    const off = await train(method, {
      settings: { ...own, ...Object.fromEntries(weights.map((key) => [key, 0])) },
    });
    assert.equal(weightsOf(off), weightsOf(PLAIN));
    for (const [i, losses] of lossesOf(PLAIN).entries())
      for (const [term, value] of Object.entries(losses)) assert.is(lossesOf(off)[i]![term], value, term);
    assert.not.ok(Object.keys(off.tensors).some((key) => key.startsWith("own/")));
    assert.not.equal(weightsOf(usual), weightsOf(PLAIN), "with its weights it is something else");
  });

  test(`${title}, C1: a teacher of other cases teaches something else`, async () => {
    const shuffled = await train(taughtBy(method, (teacher) => rolled(teacher)));
    isFinite(shuffled);
    for (const term of Object.keys(identical)) {
      assert.ok(Math.abs(lossesOf(usual)[0]![term]!) > 0, term);
      assert.is.not(lossesOf(shuffled)[0]![term], lossesOf(usual)[0]![term], term);
    }
    assert.not.equal(weightsOf(shuffled), weightsOf(usual));
    assert.equal(weightsOf(await train()), weightsOf(usual), "the same teacher teaches the same");
  });

  test(`${title}, C2: a twin of the student teaches something else`, async () => {
    const seen = { modalities: [NAMES[OWN]], channels: [0], next: alone() };
    const twin = await train(method, { ...seen, frozen: TWIN });
    isFinite(twin);
    assert.not.equal(weightsOf(twin), weightsOf(usual));
    assert.not.equal(weightsOf(twin), weightsOf(PLAIN));
  });

  if (isFrozen)
    test(`${title}, C3: an untrained teacher's terms are finite`, async () => {
      isFinite(await train(method, { frozen: UNTRAINED }));
    });

  test(`${title}, C4: a teacher with the student's own outputs teaches what the table says`, async () => {
    const itself = taughtBy(method, (_, student: Runnable) => student);
    const validate = () => Promise.resolve({ WT: 0, TC: 0, ET: 0, mean: 0 });
    const outcome = await train(itself, { validate });
    const shares = of(outcome.seen, "epoch")[0]!.record.gradients!;
    for (const [term, { value, gradient }] of Object.entries(identical)) {
      const largest = Math.max(...Object.values(shares).map((of) => of[term] ?? 0));
      assert.is(largest > 1e-5, gradient !== 0, `the gradient of ${term}: ${largest}`);
      for (const losses of lossesOf(outcome))
        assert.is(losses[term]! > 1e-6, value !== 0, `${term}: ${losses[term]}`);
    }
  });
}

test.run();
