// The methods: the terms that each minimises, and how it describes itself.

import { test } from "uvu";
import * as assert from "uvu/assert";
import * as v from "valibot";
import { keep } from "../../engine/index.ts";
import { PROTOKD, type Terms } from "../../model/losses/losses.ts";
import {
  DEFAULT_METHOD,
  defaultSettings,
  frozenStages,
  isTaught,
  type Method,
  METHOD_SETTINGS,
  methodOf,
  baselinesOf,
  METHODS,
  PLAIN,
  streamsOf,
  titleOf,
} from "../../model/methods/index.ts";
import type { Network } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { UploadedBatch } from "../../trainer/loop/batches.ts";
import { openMembers, openOwn, ownByName } from "../../trainer/loop/members.ts";
import { runStep } from "../../trainer/loop/step.ts";
import { SETTINGS } from "../../trainer/settings/settings.ts";
import { device } from "../support/gradcheck.ts";
import { failure } from "../support/quietly.ts";
import { batch, MODALITIES, network, trainOptions, type Trial } from "../support/training.ts";

const all: readonly (readonly [string, Method])[] = Object.entries(METHODS);

/** The terms of a method without its own, whose network is no V-Net. */
const OTHER_NETWORKS: Readonly<Record<string, readonly string[]>> = {
  uagan: ["crossEntropy", "dice"],
  wsd: ["presence"],
};

/** A trial of a method, with its default settings unless others are given, and a teacher. */
function trial(name: string, settings: Readonly<Record<string, unknown>> = {}): Trial {
  const teacher = network(MODALITIES, 9, "batch");
  return { method: name, teacher, settings: { ...defaultSettings(methodOf(name)), ...settings } };
}

/** The terms of one step of a trial, of one optimizer's group, each with its weight and its value. */
async function termsOf(
  trial: Trial,
  of = "main",
): Promise<Record<string, readonly [weight: number, value: number]>> {
  const { method, run, members, patch } = trainOptions(trial);
  const same = new UploadedBatch(device, batch(5, patch), { patch, modalities: run.modalities });
  const streams = Object.keys(streamsOf(method, run));
  const specs = Object.fromEntries(Object.entries(members).map(([name, { spec }]) => [name, spec]));
  const own = openOwn(device, method.own?.(run, specs) ?? {}, 0);
  let terms: Terms = {};
  runStep(
    { method, settings: run.settings, members, own: ownByName(own), patch, seed: 0 },
    Object.fromEntries(streams.map((name) => [name, same])),
    { done: 0, phase: "", number: 1 },
    {
      after: () => undefined,
      update(group, make) {
        const made = make();
        if (group !== of) return;
        terms = made;
        for (const [, scalar] of Object.values(terms)) keep(scalar);
      },
    },
  );
  same.free();
  own.free();
  const read = Object.entries(terms).map(
    async ([term, [weight, scalar]]) =>
      [term.replace(`${streams[0]}.`, ""), [weight, await scalar.item()]] as const, // a contrast's own term
  );
  return Object.fromEntries(await Promise.all(read));
}

test("kd is ProtoKD without its prototypes, and none is kd without distillation", async () => {
  const { prototype, ...taught } = await termsOf(trial("protokd"));
  assert.is(prototype![0], PROTOKD.prototypeWeight);
  assert.ok(prototype![1] > 0);
  const { kd, ...plain } = taught;
  assert.is(kd![0], PROTOKD.kdWeight);
  assert.ok(kd![1] > 0);
  assert.equal(await termsOf(trial("kd")), taught);
  assert.equal(Object.keys(plain), ["crossEntropy", "dice"]);
  assert.equal(await termsOf(trial("none")), plain);
});

test("the settings weigh the terms, and the temperature softens the predictions", async () => {
  const own = { kdWeight: 3, prototypeWeight: 0.5, temperature: 2 };
  const [usual, changed] = [await termsOf(trial("protokd")), await termsOf(trial("protokd", own))];
  assert.equal([changed["kd"]![0], changed["prototype"]![0]], [3, 0.5]);
  assert.ok(changed["kd"]![1] > 2 * usual["kd"]![1]);
  assert.is(changed["prototype"]![1], usual["prototype"]![1]);
  const { kdWeight, temperature } = own;
  assert.equal((await termsOf(trial("kd", { kdWeight, temperature })))["kd"], changed["kd"]);
});

test("with weights of 0 a method is plain supervision, and its teacher never runs", async () => {
  const plain = await termsOf(trial("none"));
  for (const [name, { settings }] of all) {
    const weights = Object.keys(settings).filter((key) => key.endsWith("Weight"));
    const off = trial(name, Object.fromEntries(weights.map((key) => [key, 0])));
    const terms = await termsOf(off);
    const own = OTHER_NETWORKS[name];
    if (own) assert.equal(Object.keys(terms), own, `${name}: its weights of 0 are in a test of its own`);
    else assert.equal(terms, plain, name);
    assert.is(off.teacher!.params.tensors.size, 0, name);
  }
});

test("every method that segments does so at lower resolutions too where its network has auxiliary heads", async () => {
  const network = (modalities: number, deepSupervision: boolean): Network => ({
    params: new Params(device, { seed: modalities }),
    config: { modalities, classes: 4, filters: 2, levels: 4, norm: "instance", deepSupervision },
  });
  for (const [name] of all.filter(([one]) => one !== "wsd")) {
    const networks = { network: network(1, false), teacher: network(MODALITIES, false) };
    const options = { ...trial(name), ...networks, patch: [16, 16, 32] as const };
    const plain = await termsOf(options);
    const deep = await termsOf({ ...options, network: network(1, true) });
    for (const term of ["crossEntropy", "dice"]) {
      const [weight, value] = plain[term]!;
      assert.equal(deep[term], [(2 / 3) * weight, value], `${name}: ${term}`);
      const half = deep[`${term}Half`]![0];
      assert.ok(Math.abs(half - weight / 3) < 1e-15, `${name}: ${term}Half ${half}`);
    }
    assert.is(Object.keys(deep).length, Object.keys(plain).length + 2, name);
  }
});

test("a method that learns from a teacher asks for one", () => {
  for (const [name, method] of all) {
    const { run } = trainOptions(trial(name));
    const stages = frozenStages(method, run);
    assert.is(isTaught(name), stages.length > 0, name);
    const options = { seed: 1, precision: "f32", lowMemory: false } as const;
    const asked: string[] = [];
    const frozen = (stage: string) => {
      asked.push(stage);
      return { spec: run.network, values: {} };
    };
    const members = openMembers(device, method, run, { ...options, frozen });
    assert.equal(asked, stages, name);
    assert.equal(Object.keys(members), Object.keys(method.networks(run)), name);
    const missing = (stage: string) => {
      throw new Error(`no ${stage} was trained`);
    };
    const open = () => openMembers(device, method, run, { ...options, frozen: missing });
    if (stages.length) assert.throws(open, new RegExp(`^no ${stages[0]} was trained$`));
    else open();
  }
  const teachers = ["none", "kd", "protokd", "kdnet", "pmkl"].map((name) =>
    frozenStages(methodOf(name), trainOptions(trial(name)).run),
  );
  assert.equal(teachers, [[], ["teacher"], ["teacher"], ["teacher"], ["teacher"]]);
});

test("--segmentation is the labels' term of both of barlow's networks, at each level", async () => {
  const deep = { modalities: 1, classes: 4, filters: 2, levels: 4, norm: "instance" } as const;
  const given = (segmentation: string): Trial => ({
    ...trial("barlow", { segmentation }),
    network: { params: new Params(device, { seed: 1 }), config: { ...deep, deepSupervision: true } },
    patch: [16, 16, 32],
  });
  const names = {
    classes: ["crossEntropy", "dice", "crossEntropyHalf", "diceHalf"],
    ce: ["crossEntropy", "crossEntropyHalf"],
    regions: ["regionCrossEntropy", "regionDice", "regionCrossEntropyHalf", "regionDiceHalf"],
  };
  for (const [segmentation, wanted] of Object.entries(names)) {
    const student = await termsOf(given(segmentation));
    const { barlow, ...labels } = student;
    assert.is(barlow![0], 1 / 16);
    const teacher = await termsOf(given(segmentation), "teacher");
    for (const terms of [labels, teacher])
      assert.equal(
        Object.entries(terms).map(([name, [weight]]) => [name, weight]),
        wanted.map((name) => [name, name.endsWith("Half") ? 1 / 3 : 2 / 3]),
      );
  }
});

test("KD-Net shares the loss between the labels and the teacher's regions, and compares bottlenecks", async () => {
  const plain = await termsOf(trial("none"));
  const terms = await termsOf(trial("kdnet"));
  assert.equal(
    Object.entries(terms).map(([name, [weight]]) => [name, weight]),
    [
      ["crossEntropy", 0.25],
      ["dice", 0.25],
      ["softCrossEntropy", 0.75],
      ["softDice", 0.75],
      ["bottleneck", 10],
    ],
  );
  for (const term of ["crossEntropy", "dice"]) assert.is(terms[term]![1], plain[term]![1]);
  for (const [term, [, value]] of Object.entries(terms)) assert.ok(value > 0, term);
  const { crossEntropy: _, dice: _dice, ...others } = terms;
  const { regionCrossEntropy, regionDice, ...rest } = await termsOf(
    trial("kdnet", { segmentation: "regions" }),
  );
  assert.equal(rest, others, "the paper's term takes the place of the labels' alone");
  assert.equal([regionCrossEntropy![0], regionDice![0]], [0.25, 0.25]);
  assert.ok(regionCrossEntropy![1] > 0 && regionDice![1] > 0);
  const soft = await termsOf(trial("kdnet", { softWeight: 1, bottleneckWeight: 0 }));
  assert.equal(Object.keys(soft), ["softCrossEntropy", "softDice"]);
  assert.is(soft["softDice"]![1], terms["softDice"]![1]);
  const own = await termsOf(trial("kdnet", { studentTemperature: 1 }));
  assert.is.not(own["softDice"]![1], terms["softDice"]![1]);
  assert.is(own["bottleneck"]![1], terms["bottleneck"]![1]);
});

test("KD-Net refuses a teacher whose bottleneck has another shape, unless it compares none", async () => {
  const config = { ...network(MODALITIES).config, filters: 3 };
  const teacher = () => ({ params: new Params(device, { seed: 1 }), config });
  const why = /^--teacher: .* expected 2 filters and 3 levels, got 3 and 3: /;
  assert.match((await failure(() => termsOf({ ...trial("kdnet"), teacher: teacher() }))).message, why);
  const terms = await termsOf({ ...trial("kdnet", { bottleneckWeight: 0 }), teacher: teacher() });
  assert.not("bottleneck" in terms);
});

test("every method has a name, a title and a source of its own", () => {
  for (const [name, { name: own, title, source }] of all) {
    assert.is(own, name);
    assert.match(name, /^[a-z][a-z0-9-]*$/); // for flags and names of folders
    assert.is(titleOf(name), title);
    assert.match(source, /\b(19|20)\d\d\b/);
  }
  assert.is(new Set(all.map(([, { title }]) => title)).size, all.length);
  assert.ok(DEFAULT_METHOD in METHODS && PLAIN in METHODS);
  assert.is(titleOf("newer"), "newer");
  assert.throws(() => methodOf("newer"), /^method: expected one of none, kd, protokd, .*, got newer$/);
});

test("every setting has a default that fits and a help text, and is one row for all methods that have it", () => {
  for (const [name, method] of all) {
    for (const [key, row] of Object.entries(method.settings)) {
      assert.ok(v.is(row.schema, row.default), `${name}: ${key}`);
      assert.ok(row.help, `${name}: ${key}`);
      assert.is(METHOD_SETTINGS[key as keyof typeof METHOD_SETTINGS], row, `${name}: ${key}`);
    }
  }
  assert.equal(defaultSettings(METHODS.protokd), {
    ...PROTOKD,
    kdUnits: "published",
    prototypes: "label",
    unlabelled: null,
    unlabelledWeight: 1,
  });
});

test("every method is compared with plain supervision and pixel-wise distillation", () => {
  assert.equal(["none", "kd", "unknown"].map(baselinesOf), [[], ["none"], []]);
  for (const [name] of all)
    if (name !== "none" && name !== "kd") assert.equal(baselinesOf(name), ["none", "kd"]);
});

test("a method's defaults and roles name existing settings and networks", () => {
  const rows: Readonly<Record<string, { schema: v.GenericSchema }>> = SETTINGS;
  for (const [name, method] of all) {
    for (const [key, value] of Object.entries(method.defaults ?? {})) {
      assert.ok(rows[key], `${name}: ${key}`);
      assert.ok(v.is(rows[key].schema, value), `${name}: ${key} ${String(value)}`);
    }
    const roles = method.networks(trainOptions(trial(name)).run);
    assert.ok(method.deployed === null || method.deployed in roles, name);
    for (const role of Object.values(roles))
      if ("averageOf" in role) assert.ok(role.averageOf in roles, `${name}: ${role.averageOf}`);
  }
});

test.run();
