// --config FILE: what a file of settings may say, what is wrong with one, and how it goes together with
// flags.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as v from "valibot";
import { DEFAULTS, differences, SMALL } from "../../trainer/settings/config.ts";
import { parseConfig } from "../../cli/terminal/configFile.ts";
import { ROWS, SETTINGS } from "../../trainer/settings/settings.ts";
import { described, resolveConfig, trainCommand, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { failure } from "../support/quietly.ts";

const test = suite("config file");
const folder = mkdtempSync(join(tmpdir(), "config-"));
const file = join(folder, "config.json");
test.after(() => rmSync(folder, { recursive: true }));

/** Data that are not there, so that the sizes are the paper's. */
const BASE = { data: join(folder, "data"), out: join(folder, "run") };

test("a file says what flags say, and a flag overrides it", async () => {
  const flags = { ...BASE, stage: "student", modality: "flair", kdWeight: 3, patch: [32, 32, 48] } as const;
  const config = write({ ...flags, fast: true });
  const { fast, ...same } = await resolveConfig({ config });
  assert.is(fast, true);
  assert.equal({ ...same, fast: false }, await resolveConfig({ ...flags, patch: "32,32,48", fast: false }));
  const kdWeightOf = async (more: object) =>
    (await resolveConfig({ ...BASE, stage: "student", ...more })).kdWeight;
  assert.equal(
    await Promise.all([{}, { kdUnits: "hinton" }, { kdUnits: "hinton", kdWeight: 4 }].map(kdWeightOf)),
    [10, 1, 4],
  );
  const other = await resolveConfig({ config, kdWeight: 0, modality: "t1", fast: false });
  assert.equal([other.kdWeight, other.modality, other.fast], [0, "t1", false]);
  assert.equal(differences(other, { ...same, fast }), ["modality", "kdWeight"]);
});

test("--no-fast unsets what a file says", () => {
  const parsed = (...flags: string[]) =>
    trainCommand()
      .parse(["--stage", "teacher", ...flags], { from: "user" })
      .opts<TrainFlags>().fast;
  assert.equal([parsed(), parsed("--fast"), parsed("--no-fast")], [undefined, true, false]);
});

test("a run's config.json given back is the same run, with its choice of kernels", async () => {
  const tuning = { forward: { kernel: "eight" }, weightGradient: { kernel: "plain", WG: 128 } };
  for (const flags of [
    { stage: "teacher", seed: 4 },
    { stage: "student", parity: true, teacher: "t.safetensors", labels: "msd" },
  ] as const) {
    const ran = await resolveConfig({ ...BASE, ...flags });
    assert.equal(Object.keys(ran), Object.keys(SETTINGS), "all of them, in the table's order");
    const config = write({ ...ran, tuning });
    assert.equal(await resolveConfig({ config }), { ...ran, tuning });
    const elsewhere = await resolveConfig({ config, out: "elsewhere", seed: 5 });
    assert.equal([elsewhere.out, differences(elsewhere, ran)], ["elsewhere", ["seed"]]);
  }
});

test("a file of another stage says nothing about what is that stage's own", async () => {
  const teacher = await resolveConfig({ ...BASE, stage: "teacher", init: "w.safetensors", filters: 8 });
  const student = await resolveConfig({ ...BASE, stage: "student", filters: 8 });
  assert.equal(await resolveConfig({ config: write(teacher), stage: "student" }), student);
  const taught = { ...student, modality: "t2", teacher: "t.safetensors" };
  const again = await resolveConfig({ config: write(taught), stage: "teacher", init: "w.safetensors" });
  assert.equal(again, teacher);
});

test("--parity leaves what a file says; a file may say parity itself", async () => {
  const config = write({ ...BASE, stage: "teacher", parity: true, norm: "instance" });
  const { norm, crop, epochs, validateFrom } = await resolveConfig({ config });
  assert.equal([norm, crop, epochs, validateFrom], ["instance", "published", 1000, 251]);
});

test("an unknown name gets the nearest known one, a wrong value what was expected, all at once", async () => {
  const message = await refused({
    kdWieght: 1,
    epochs: "9",
    lr: -1,
    norm: "group",
    patch: [32, 32],
    fast: 1,
  });
  assert.equal(message.split("\n  "), [
    "--config FILE: 6 mistakes:",
    "kdWieght: no setting has this name: did you mean kdWeight?",
    'epochs: expected an integer from 1 to 1000000, got "9"',
    "lr: expected a number from 0 to 10, got -1",
    'norm: expected one of instance, batch, got "group"',
    "patch: expected a list [D, H, W], each an integer from 1 to 1024, got [32,32]",
    "fast: expected true or false, got 1",
  ]);
  for (const [name, nearest] of Object.entries({
    "kd-weight": "kdWeight",
    weight_decay: "weightDecay",
    EPOCHS: "epochs",
    epoch: "epochs",
    learnrate: null,
    labls: "labels",
    modalities: "modality",
    hasOwnProperty: null,
  })) {
    const expected = nearest
      ? `: did you mean ${nearest}?`
      : `: known are ${Object.keys(SETTINGS).join(", ")}, `;
    assert.ok((await refused({ [name]: 1 })).includes(expected), name);
  }
  assert.match(await refused('{"__proto__": {"epochs": 1}}'), /^--config FILE: __proto__: no setting has/);
  assert.match(await refused({ tuning: 3 }), /^--config FILE: tuning: expected a choice of kernels, or null/);
  assert.match(
    await refused({ tuning: { forward: null } }),
    /^--config FILE: tuning: expected a choice of kernels/,
  );
});

test("a file without settings is refused: missing, not JSON, a list, a name twice, too deep, too large", async () => {
  const of = async (content: string) => (await refused(content)).replace(/^.*?, got /, "");
  assert.match(await of("{epochs: 1}"), /^text that is not valid JSON: /);
  assert.is(await of('[{"epochs": 1}]'), '[{"epochs":1}]');
  assert.is(await of("null"), "null");
  assert.is(await of('{"epochs": 1, "epochs": 2}'), "the name epochs twice: remove one");
  assert.match(await of('{"epochs": 1, "epoch\\u0073": 2}'), /^the name epochs twice/);
  assert.is(
    await of(`{"patch": ${"[".repeat(1e5)}${"]".repeat(1e5)}}`),
    "text that is not valid JSON: nested deeper than 8 levels",
  );
  assert.match(await refused(" ".repeat(2 ** 20) + "{}"), /expected at most 1048576 bytes, got 1048578$/);
  const none = await failure(() => resolveConfig({ config: join(folder, "none.json") }));
  assert.match(none.message, /none\.json: expected settings as JSON, .* got no file$/);
  assert.is(none.name, "UsageError");
  writeFileSync(file, `\uFEFF${JSON.stringify({ ...BASE, stage: "teacher", epochs: 7 })}`);
  assert.is((await resolveConfig({ config: file })).epochs, 7, "a byte order mark is accepted");
  assert.match((await failure(() => resolveConfig({}))).message, /^--stage: say what to train/);
});

test("every row has a flag that takes its values, is described, and allows its own defaults in a file", async () => {
  const options = trainCommand().options.filter(({ negate }) => !negate);
  for (const [name, row] of ROWS) {
    if (row.flag === false) {
      assert.not(
        options.some((option) => option.attributeName() === name),
        name,
      );
      continue;
    }
    const { description, parseArg } = options.find((option) => option.attributeName() === name)!;
    assert.is(description, described(name, row), name);
    assert.ok(row.help.length > 5, name);
    const path = { file: "a", folder: "a" }[row.argument ?? ""];
    const some = ["1", "6h"].find((given) => v.is(row.schema, row.parse(given)));
    const text = path ?? row.choices?.[0] ?? String(row.default ?? some); // of a patch: D,H,W
    const parsed = parseArg && row.argument !== null && !row.choices;
    const value: unknown = parsed ? (parseArg as (text: string) => unknown)(text) : text;
    assert.is(String(value), text, name);
  }
  const config = write({ ...DEFAULTS, ...SMALL, ...BASE, stage: "teacher" });
  const resolved = await resolveConfig({ config });
  assert.equal({ ...resolved, ...DEFAULTS, ...SMALL }, resolved);
});

test("config.json of an older run means the defaults where it is silent; another file is refused", () => {
  const { seed: _, ...older } = { ...DEFAULTS, ...BASE, stage: "teacher", method: "none", modality: null };
  assert.is(parseConfig(JSON.stringify(older), DEFAULTS)!.seed, 0);
  const newer = parseConfig(JSON.stringify({ ...older, inventedLater: 3 }), DEFAULTS)!;
  assert.equal(differences(parseConfig(JSON.stringify(older), DEFAULTS)!, newer), ["inventedLater"]);
  for (const text of ["{", "null", "[]", "{}", JSON.stringify({ ...older, lr: "fast" })])
    assert.is(parseConfig(text, DEFAULTS), null, text);
});

test.run();

function write(content: object | string): string {
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  assert.ok(readFileSync(file).length);
  return file;
}

/** Why a file is refused. */
async function refused(content: object | string): Promise<string> {
  const error = await failure(() => resolveConfig({ config: write(content) }));
  assert.is(error.name, "UsageError", error.message);
  return error.message.replaceAll(file, "FILE");
}
