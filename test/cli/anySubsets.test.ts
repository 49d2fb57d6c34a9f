// The table of fifteen with a network that takes any of its contrasts, alone and beside others, and what
// predict.js reads from it.

import fs from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { choose, readCandidates } from "../../cli/prediction/candidates.ts";
import type { PredictOptions } from "../../cli/predict.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { MODALITIES, type Modality } from "../../data/datasets/datasets.ts";
import { ALL_SUBSETS, parseSubset, subsetName } from "../../data/datasets/subsets.ts";
import { label, predictQuietly, records } from "../support/predicting.ts";
import { storeStage } from "../support/storedRun.ts";
import { data, folder, lines, predictions, prepare, read, score, tested } from "../support/subsetRun.ts";

const test = suite("any subsets");
const [alone, mixed] = [join(folder, "alone"), join(folder, "mixed")];
const split = { train: [], val: [], test: tested };

test.before(async () => {
  await prepare();
  const any = { name: "student_any", modalities: [...MODALITIES], any: true } as const;
  await storeStage(alone, { ...any, modalities: [...MODALITIES] });
  const subsets = Object.fromEntries(ALL_SUBSETS.map((subset) => [subset, 0.5]));
  await storeStage(mixed, { ...any, modalities: [...MODALITIES], subsets });
  await storeStage(mixed, { name: "student_t1", modalities: ["t1"], dice: 0.6, seed: 2 });
  await storeStage(mixed, { name: "student_t2", modalities: ["t2"], dice: 0.4, seed: 3 });
  await storeStage(mixed, { name: "student_t1+t1ce", modalities: ["t1", "t1ce"], dice: 0.7, seed: 4 });
  for (const stage of [join(alone, "student_any"), join(mixed, "student_any"), join(mixed, "student_t1")])
    fs.writeFileSync(join(stage, FILES.split), JSON.stringify(split));
});
test.after(() => fs.rmSync(folder, { recursive: true }));

test("one network that takes any fills all 15 rows, each with its own predictions", async () => {
  const made = await score({ model: alone });
  const { table, out } = made;
  assert.is(predictions(made), 15 * 2);
  assert.equal(
    table.rows.map(({ subset, network, cases }) => [subsetName(subset), network, cases.length]),
    ALL_SUBSETS.map((subset) => [subset, "student_any", 2]),
  );
  assert.equal(fs.readdirSync(join(out, "predictions", "student_any")).sort(), [...ALL_SUBSETS].sort());
  assert.equal(
    [
      ...new Set(
        lines(out, "results.jsonl").map((line) => (JSON.parse(line) as { network: string }).network),
      ),
    ],
    ALL_SUBSETS.map((subset) => `student_any/${subset}`),
  );
  const choice = read<{ subsets: { subset: string; sees: Modality[] }[]; networks: object[] }>(
    out,
    "choice.json",
  );
  for (const { subset, sees } of choice.subsets) assert.equal(sees, parseSubset(subset));
  assert.is((choice.networks[0] as { needs: string }).needs, "any of t1, t2, t1ce, flair");
  assert.is(lines(out, "subsets.csv").length, 1 + 15 * 2);
  const markdown = fs.readFileSync(join(out, "subsets.md"), "utf8");
  assert.is(markdown.match(/\| student_any \|$/gm)!.length, 15);
  assert.match(
    markdown,
    /Subsets in which a network sees the same contrasts of the same cases have the same/,
  );
  const idle = await score({ model: alone }, () => Promise.reject(new Error("the device was opened")));
  assert.is(predictions(idle), 0);
});

test("a subset's label map equals the one of predict.js with --with, to the byte", async () => {
  const { out } = await score({ model: alone });
  const maps = new Set<string>();
  for (const subset of ["t2", "t1ce+flair", "t1+t2+t1ce+flair"]) {
    const output = join(folder, `with ${subset}`);
    await predictQuietly({ model: alone, input: data, output, with: subset });
    for (const id of tested) {
      const own = fs.readFileSync(join(out, "predictions", "student_any", subset, `${id}.nii.gz`));
      assert.equal(own, fs.readFileSync(label(output, id)), `${subset} ${id}`);
      maps.add(own.toString("base64"));
    }
  }
  assert.is(maps.size, 3 * tested.length);
});

test("beside other networks each row is by the one that predict.js would choose", async () => {
  const { table, out } = await score({ model: mixed });
  const candidates = await readCandidates([mixed], ({ card }) => card!);
  for (const { subset, network } of table.rows)
    assert.is(network, choose(candidates, subset)!.candidate.name, subsetName(subset));
  const networks = Object.fromEntries(table.rows.map((row) => [subsetName(row.subset), row.network]));
  const { t1, t2, t1ce, "t1+t1ce": pair, "t1+t2": any } = networks;
  assert.equal(
    [t1, t2, t1ce, pair, any],
    ["student_t1", "student_any", "student_any", "student_t1+t1ce", "student_any"],
  );
  const folders = fs.readdirSync(join(out, "predictions"));
  assert.equal(folders.sort(), ["student_any", "student_t1", "student_t1+t1ce"]);
  assert.is(fs.readdirSync(join(out, "predictions", "student_any")).length, 13);
  assert.ok(fs.existsSync(join(out, "predictions", "student_t1", `${tested[0]!}.nii.gz`)));
});

test("a case that a subset's network sees less of shares the smaller subset's prediction", async () => {
  const two = join(folder, "of-two");
  await storeStage(two, { name: "student_any", modalities: ["t1ce", "flair"], any: true });
  fs.writeFileSync(join(two, "student_any", FILES.split), JSON.stringify(split));
  const made = await score({ model: two });
  assert.is(predictions(made), 3 * 2, "t1ce, flair, and both");
  const [t1] = made.table.rows;
  assert.is(t1!.network, null);
  assert.is(t1!.why, "no network sees only t1: student_any sees any of t1ce, flair");
  assert.is(made.table.rows.filter(({ network }) => network).length, 12);
});

/** The lines and the record of predict.js for a case of T1 and T2, beside a table with these mean Dice. */
async function hint(
  dice: Record<string, number>,
  { change, ...options }: Partial<PredictOptions> & { change?: (out: string) => void } = {},
) {
  const { out } = await score({ model: mixed });
  const files = ["subsets.json", "choice.json"].map((name) => join(out, name));
  const before = files.map((path) => fs.readFileSync(path, "utf8"));
  const table = JSON.parse(before[0]!) as { rows: { subset: Modality[]; cases: { Dice: object }[] }[] };
  for (const { subset, cases } of table.rows) {
    const mean = dice[subsetName(subset)] ?? 0.5;
    for (const one of cases) one.Dice = { WT: mean, TC: mean, ET: mean, ETpp: mean, mean };
  }
  fs.writeFileSync(files[0]!, JSON.stringify(table));
  change?.(out);
  const input = fs.mkdtempSync(join(folder, "input-"));
  const output = fs.mkdtempSync(join(folder, "output-"));
  const id = tested[0]!;
  fs.mkdirSync(join(input, id));
  for (const name of ["t1", "t2"].map((m) => `${id}_${m}.nii.gz`))
    fs.copyFileSync(join(data, id, name), join(input, id, name));
  try {
    const printed = await predictQuietly({ model: mixed, input, output, ...options });
    const at = printed.findIndex((line) => line.startsWith(`  ${id}: `));
    return { line: printed[at + 1]!, printed, more: records(output)[0]!.more };
  } finally {
    files.forEach((path, i) => fs.writeFileSync(path, before[i]!));
  }
}

test("predict.js says what another contrast would bring, by the table of the same checkpoints", async () => {
  const dice = { "t1+t2": 0.5384, "t1+t2+t1ce": 0.712, "t1+t2+flair": 0.6, "t1+t2+t1ce+flair": 0.9 };
  const sentence =
    "with t1ce too, the mean Dice on 2 cases was 0.712 instead of 0.538, by student_any (table of fifteen)";
  const told = await hint(dice);
  assert.is(told.line, `    ${sentence}`);
  assert.is(told.more, sentence);
  const one = await hint({ t1: 0.2, "t1+flair": 0.3, "t1+t1ce": 0.4 }, { with: "t1" });
  assert.match(one.line, /^ {4}with t1ce too, .* 0.400 instead of 0.200, by student_t1\+t1ce \(table/);
});

test("predict.js says nothing of it where no contrast brings more than 0.01, or the table is of others", async () => {
  const dice = { "t1+t2": 0.5, "t1+t2+t1ce": 0.7 };
  assert.ok((await hint(dice)).more);
  const choice = (out: string) => join(out, "choice.json");
  const otherCheckpoint = (out: string) => {
    const text = fs.readFileSync(choice(out), "utf8");
    fs.writeFileSync(choice(out), text.replace(/"checksum": "\w+"/, `"checksum": "0"`));
  };
  const noTable = (out: string) => fs.rmSync(join(out, "subsets.json"));
  const models = [join(mixed, "student_any"), join(mixed, "student_t1")];
  for (const [why, silent] of [
    ["little gain", await hint({ "t1+t2": 0.5, "t1+t2+t1ce": 0.509 })],
    ["a stage's folder without a table", await hint(dice, { model: models[0]! })],
    ["several networks", await hint(dice, { model: models })],
    ["another checkpoint", await hint(dice, { change: otherCheckpoint })],
    ["no checkpoints", await hint(dice, { change: (out) => fs.rmSync(choice(out)) })],
    ["no table", await hint(dice, { change: noTable })],
  ] as const) {
    assert.is(silent.more, undefined, why);
    assert.not.match(silent.printed.join("\n"), /table of fifteen/, why);
  }
  const damage = (out: string) => fs.writeFileSync(join(out, "subsets.json"), "{");
  const damaged = await hint(dice, { change: damage });
  assert.is(damaged.more, undefined);
  assert.match(
    damaged.printed.join("\n"),
    /subsets.json: expected the table that subsets.js writes, got another/,
  );
});

test.run();
