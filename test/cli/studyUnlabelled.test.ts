// node cli/study.js with scans without labels: of a phantom, and of a folder beside --data. Records say how
// many there were, or which, without paths; those of data sets without any keep their names.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { armKey, countedSettings } from "../../cli/files/evidence.ts";
import { openStudyData } from "../../cli/files/studyData.ts";
import { resolveConfig } from "../../cli/stages/trainFlags.ts";
import type { ArmRecord } from "../../trainer/experiments/armRecord.ts";
import type { Arm } from "../../trainer/experiments/study.ts";
import { runCli } from "../support/studyCommand.ts";

const test = suite("study with scans without labels");
const folder = mkdtempSync(join(tmpdir(), "study-unlabelled-"));
test.after(() => rmSync(folder, { recursive: true }));

const PHANTOM = { version: 2, seed: 7, size: 16, train: 2, val: 1, test: 2 };
const SCANS = { phantom: { ...PHANTOM, unlabelled: 3 } };
const MADE = join(folder, "phantom", "data", "phantom2-7-unlabelled3");
const TINY = {
  size: "unlabelled",
  seeds: [0],
  settings: {
    epochs: 1,
    validateEvery: 1,
    patch: [16, 16, 16],
    levels: 2,
    filters: 2,
    batch: 2,
    workers: 0,
  },
};
const WITH = { name: "kd, with", method: "kd", settings: { kdUnits: "hinton" } };
const WITHOUT = { name: "kd, without", method: "kd", settings: { kdUnits: "hinton", unlabelledWeight: 0 } };
const PSEUDO = { name: "pseudo", method: "pseudo" };

async function run(name: string, config: object, flags: readonly string[] = []) {
  const path = join(folder, `${name}.json`);
  writeFileSync(path, JSON.stringify({ ...TINY, name, ...config }));
  const out = join(folder, name);
  const evidence = join(out, "evidence");
  const ended = await runCli("study", [
    ...["--config", path, "--out", out, "--evidence", evidence],
    ...flags,
  ]);
  assert.is(ended.code, 0, ended.output);
  const texts = readdirSync(evidence).map((file) => readFileSync(join(evidence, file), "utf8"));
  for (const text of texts) assert.not.match(text, new RegExp(`${folder}|scans`), "no path of this machine");
  const records = texts.map((text) => JSON.parse(text) as ArmRecord);
  return { output: ended.output, records };
}

test("a phantom's further cases teach the methods that take them, and no arm sees their labels", async () => {
  const entries = [WITH, WITHOUT, PSEUDO];
  const { output, records } = await run("phantom", { sets: [SCANS], entries, controlled: ["kd, with"] });
  assert.match(output, /kd with all its weights 0 has the weights of the baseline, bit for bit/);
  assert.match(output, /pseudo with all its weights 0 has the weights of the baseline, bit for bit/);
  const found = new Map(records.map((one) => [`${one.name} ${one.control}`, one]));
  assert.is(
    new Set(["kd, with", "kd, without", "pseudo", "none"].map((n) => found.get(`${n} none`)!.weights)).size,
    4,
  );
  assert.ok(found.has("kd, with shuffled"));
  for (const { data } of records) assert.equal(data, SCANS);

  const split = JSON.parse(readFileSync(`${MADE}-split.json`, "utf8")) as Record<string, string[]>;
  const scans = readdirSync(`${MADE}-scans`).filter((name) => name !== "cases.json");
  assert.is(scans.length, 3);
  assert.is(new Set([...Object.values(split).flat(), ...scans]).size, 2 + 1 + 2 + 3, "ids are distinct");
  const suffixes = scans.map((id) =>
    readdirSync(join(`${MADE}-scans`, id))
      .join()
      .replaceAll(`${id}_`, ""),
  );
  assert.equal(new Set(suffixes), new Set(["flair.nii.gz,t1.nii.gz,t1ce.nii.gz,t2.nii.gz"]));
});

test("with --data, a folder beside the split; the record has a digest of the scans' ids", async () => {
  const sets = [{ split: `${MADE}-split.json`, unlabelled: `${MADE}-scans` }];
  const { records } = await run("split", { sets, entries: [PSEUDO], controls: [], zeroEpochs: 0 }, [
    "--data",
    MADE,
  ]);
  assert.is(records.length, 2);
  for (const { data } of records) {
    assert.equal(Object.keys(data), ["cases", "unlabelled"]);
    assert.match((data as { unlabelled: string }).unlabelled, /^[0-9a-f]{64}$/);
  }
});

test("a folder that holds no scans, or those of another study, is refused", async () => {
  const refusal = async (set: Parameters<typeof openStudyData>[0], data: string | null) => {
    const error = await openStudyData(set, join(folder, "phantom"), data).catch((one: Error) => one);
    return `${(error as Error).name}: ${(error as Error).message}`;
  };
  const split = `${MADE}-split.json`;
  const missing = join(folder, "nowhere");
  assert.match(
    await refusal({ split, unlabelled: missing }, MADE),
    /^DataError: sets: unlabelled: .*nowhere/,
  );
  writeFileSync(join(`${MADE}-scans`, "cases.json"), '["PHANTOM_001"]');
  assert.match(
    await refusal(SCANS, null),
    /^UsageError: .*-scans: expected the scans of 3 cases, got those of another study: delete the folder/,
  );
});

test("data sets without such scans have the records and names that they had before", async () => {
  for (const phantom of [PHANTOM, { ...PHANTOM, unlabelled: 0 }]) {
    const { recorded, unlabelled } = await openStudyData({ phantom }, join(folder, "before"), null);
    assert.is(
      JSON.stringify({ recorded, unlabelled }),
      JSON.stringify({ recorded: { phantom: PHANTOM }, unlabelled: null }),
    );
  }
  const { split } = await openStudyData({ phantom: PHANTOM }, join(folder, "before"), null);
  const { recorded } = await openStudyData({ split }, folder, join(folder, "before", "data", "phantom2-7"));
  assert.equal(Object.keys(recorded), ["cases"]);

  const settingsOf = async (flags: object) => {
    const given = { stage: "student", modality: "t1ce", data: MADE, method: "protokd", ...flags } as const;
    return countedSettings(await resolveConfig(given));
  };
  const before = await settingsOf({});
  assert.equal(before, await settingsOf({ unlabelledWeight: 0 }), "without scans their weight has no effect");
  assert.not("unlabelledWeight" in before || "prototypes" in before);
  assert.is((await settingsOf({ prototypes: "teacher" }))["prototypes"], "teacher");
  const having = await settingsOf({ unlabelled: `${MADE}-scans` });
  assert.equal(having, { ...before, unlabelledWeight: 1 }, "no path among the settings");

  const arm: Arm = {
    name: "kd, Hinton",
    method: "kd",
    settings: {},
    role: "report",
    control: "none",
    modality: "t1ce",
    seed: 0,
    set: { phantom: PHANTOM },
  };
  assert.is(
    await armKey(arm, { phantom: PHANTOM }, { epochs: 2, kdWeight: 1 }),
    "kd-hinton-t1ce-seed-0-5c0e289bb7",
  );
});

test.run();
