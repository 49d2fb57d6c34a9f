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
  METHODS,
  PLAIN,
  titleOf,
} from "../../model/methods/index.ts";
import { Params } from "../../model/networks/params.ts";
import { UploadedBatch } from "../../trainer/loop/batches.ts";
import { openMembers } from "../../trainer/loop/members.ts";
import { runStep } from "../../trainer/loop/step.ts";
import { SETTINGS } from "../../trainer/settings/settings.ts";
import { device } from "../support/gradcheck.ts";
import { batch, MODALITIES, network, trainOptions, type Trial } from "../support/training.ts";

const all: readonly (readonly [string, Method])[] = Object.entries(METHODS);

/** A trial of a method, with its default settings unless others are given. */
function trial(name: string, settings: Readonly<Record<string, unknown>> = {}): Trial {
  const teacher = network(MODALITIES, 9, "batch");
  return { method: name, teacher, settings: { ...defaultSettings(methodOf(name)), ...settings } };
}

/** The terms of one step of a trial, each with its weight and its value. */
async function termsOf(trial: Trial): Promise<Record<string, readonly [weight: number, value: number]>> {
  const { method, run, members, patch } = trainOptions(trial);
  const paired = new UploadedBatch(device, batch(5, patch), { patch, modalities: run.modalities });
  let terms: Terms = {};
  runStep(
    { method, settings: run.settings, members, own: {}, patch, seed: 0 },
    { paired },
    { done: 0, phase: "", number: 1 },
    {
      after: () => undefined,
      update(group, make) {
        assert.is(group, "main");
        terms = make();
        for (const [, scalar] of Object.values(terms)) keep(scalar);
      },
    },
  );
  paired.free();
  const read = Object.entries(terms).map(
    async ([term, [weight, scalar]]) => [term, [weight, await scalar.item()]] as const,
  );
  return Object.fromEntries(await Promise.all(read));
}

test("kd is ProtoKD without its prototypes, none is without either", async () => {
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
    assert.equal(await termsOf(off), plain, name);
    assert.is(off.teacher!.params.tensors.size, 0, name);
  }
});

test("every method segments the lower resolutions too where its network has auxiliary heads", async () => {
  const config = { ...network(1).config, levels: 4, deepSupervision: true };
  for (const [name] of all) {
    const deep = { params: new Params(device, { seed: 1 }), config };
    const terms = await termsOf({ ...trial(name), network: deep, patch: [16, 16, 16] });
    for (const [term, weight] of [
      ["crossEntropy", 2 / 3],
      ["dice", 2 / 3],
      ["crossEntropyHalf", 1 / 3],
      ["diceHalf", 1 / 3],
    ] as const)
      assert.is(terms[term]?.[0], weight, `${name}: ${term}`);
  }
});

test("a method that learns from a teacher asks for one", () => {
  const taught = all.filter(([name]) => isTaught(name)).map(([name]) => name);
  assert.equal(taught, ["kd", "protokd"]);
  for (const [name, method] of all) {
    const { run } = trainOptions(trial(name));
    assert.equal(frozenStages(method, run), taught.includes(name) ? ["teacher"] : [], name);
    const open = () =>
      openMembers(device, method, run, {
        seed: 1,
        frozen: (stage) => {
          throw new Error(`no ${stage} was trained`);
        },
        precision: "f32",
        lowMemory: false,
      });
    if (taught.includes(name)) assert.throws(open, /^no teacher was trained$/);
    else assert.equal(Object.keys(open()), ["student"]);
  }
});

test("every method has a name, a title and a source of its own", () => {
  for (const [name, { name: own, title, source }] of all) {
    assert.is(own, name);
    assert.match(name, /^[a-z][a-z0-9-]*$/); // fits flags and names of folders
    assert.is(titleOf(name), title);
    assert.match(source, /\b(19|20)\d\d\b/);
  }
  assert.is(new Set(all.map(([, { title }]) => title)).size, all.length);
  assert.ok(DEFAULT_METHOD in METHODS && PLAIN in METHODS);
  assert.is(titleOf("newer"), "newer");
  assert.throws(() => methodOf("newer"), /^method: expected one of none, kd, protokd, got newer$/);
});

test("every setting has a default that fits, a help text and a field of the page's form", () => {
  for (const [name, method] of all) {
    for (const [key, row] of Object.entries(method.settings)) {
      assert.ok(v.is(row.schema, row.default), `${name}: ${key}`);
      assert.ok(row.help && row.page!.label, `${name}: ${key}`);
      assert.is(METHOD_SETTINGS[key as keyof typeof METHOD_SETTINGS], row, `${name}: ${key} is one row`);
    }
  }
  assert.equal(defaultSettings(METHODS.protokd), { ...PROTOKD });
});

test("a method's defaults, baselines and roles name what exists", () => {
  const rows: Readonly<Record<string, { schema: v.GenericSchema }>> = SETTINGS;
  for (const [name, method] of all) {
    for (const [key, value] of Object.entries(method.defaults ?? {})) {
      assert.ok(rows[key], `${name}: ${key}`);
      assert.ok(v.is(rows[key].schema, value), `${name}: ${key} ${String(value)}`);
    }
    for (const other of method.comparedWith ?? [])
      assert.ok(other !== name && other in METHODS, `${name}: ${other}`);
    const roles = method.networks(trainOptions(trial(name)).run);
    assert.ok(method.deployed === null || method.deployed in roles, name);
    for (const role of Object.values(roles))
      if ("averageOf" in role) assert.ok(role.averageOf in roles, `${name}: ${role.averageOf}`);
  }
});

test.run();
