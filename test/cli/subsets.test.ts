// subsets.js: the table of fifteen on a phantom, with a run of tiny networks whose weights are random.

import fs from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { choose, readCandidates } from "../../cli/prediction/candidates.ts";
import { ALL_SUBSETS, parseSubset, subsetName } from "../../data/datasets/subsets.ts";
import { run as command } from "../support/command.ts";
import { label, predictQuietly } from "../support/predicting.ts";
import {
  data,
  folder,
  ids,
  lines,
  predictions,
  prepare,
  read,
  run,
  score,
  tested,
} from "../support/subsetRun.ts";

const test = suite("subsets");
test.before(prepare);
test.after(() => fs.rmSync(folder, { recursive: true }));

test("the table has 15 rows in order, each by the network that predict.js would choose, over the run's test cases", async () => {
  assert.equal(
    ALL_SUBSETS.join(" "),
    "t1 t2 t1ce flair t1+t2 t1+t1ce t1+flair t2+t1ce t2+flair t1ce+flair " +
      "t1+t2+t1ce t1+t2+flair t1+t1ce+flair t2+t1ce+flair t1+t2+t1ce+flair",
  );
  const { table, printed, out } = await score({});
  assert.equal(table.cases, tested);
  assert.ok(printed.includes("2 cases: the test cases of the run's split.json"), printed.join("\n"));
  const candidates = await readCandidates([run], ({ card }) => card!);
  const choice = read<{ subsets: { subset: string; network: string | null; why: string }[] }>(
    out,
    "choice.json",
  );
  for (const [i, subset] of ALL_SUBSETS.map(parseSubset).entries()) {
    const chosen = choose(candidates, subset);
    const row = table.rows[i]!;
    assert.equal([row.subset, row.network], [subset, chosen?.candidate.name ?? null]);
    assert.is(choice.subsets[i]!.network, chosen?.candidate.name ?? null);
    assert.is(choice.subsets[i]!.why, chosen?.why ?? row.why);
    assert.is(row.cases.length, chosen ? 2 : 0);
  }
  const t2 = table.rows[1]!;
  assert.is(t2.scores, null);
  assert.match(t2.why, /^no network sees only t2: .*teacher sees t1, t2, t1ce, flair/);
  const files = [
    "choice.json",
    "predictions",
    "results.jsonl",
    "subsets.csv",
    "subsets.html",
    "subsets.json",
    "subsets.md",
  ];
  assert.equal(fs.readdirSync(out).sort(), files);
  assert.is(lines(out, "results.jsonl").length, 2 * 4, "each network predicts each case once");
  assert.is(lines(out, "subsets.csv").length, 1 + 15 * 2);
  const markdown = lines(out, "subsets.md");
  assert.match(markdown[2]!, /^\| FLAIR \| T1 \| T1ce \| T2 \| Dice WT \| TC \| ET \| ETpp \| mean \|/);
  assert.match(markdown[4]!, /^\| ○ \| ● \| ○ \| ○ \| 0\.\d{3} .* \| 2 of 2 \| student_t1 \|$/);
  assert.match(markdown[19]!, /^\| mean of 14 \|/);
  const page = fs.readFileSync(join(out, "subsets.html"), "utf8");
  assert.is(page.match(/<tr/g)!.length, 2 + 15 + 1);
  assert.not.match(page, /<script/);
  assert.not.match(fs.readFileSync(join(out, "subsets.json"), "utf8"), new RegExp(folder), "no path");
});

test("a subset's label map equals predict.js's with --with to the byte, and its scores evaluate.js's", async () => {
  const { table, out } = await score({});
  for (const [subset, network] of [
    ["t1", "student_t1"],
    ["t1+t1ce", "student_t1ce"],
    ["t1+t2+t1ce+flair", "teacher"],
  ] as const) {
    const output = join(folder, `predicted-${network}`);
    await predictQuietly({ model: run, input: data, output, with: subset });
    for (const id of tested) {
      const own = join(out, "predictions", network, `${id}.nii.gz`);
      assert.equal(fs.readFileSync(own), fs.readFileSync(label(output, id)), `${subset} ${id}`);
    }
    fs.rmSync(label(output, ids[0]!));
    assert.is(command("evaluate", "--predictions", output, "--references", data, "--quiet").status, 0);
    const summary = read<{ mean: Record<string, { Dice: number; HD95: number }> }>(output, "summary.json");
    const { scores } = table.rows.find((row) => subsetName(row.subset) === subset)!;
    for (const region of ["WT", "TC", "ET"] as const) {
      assert.is(scores!.Dice[region].mean, summary.mean[region]!.Dice);
      assert.is(scores!.HD95[region].mean, summary.mean[region]!.HD95);
    }
  }
});

test("a second call opens no device and changes no file; one changed label map or input is predicted again", async () => {
  const { out } = await score({});
  const before = contents(out);
  const idle = await score({}, () => Promise.reject(new Error("the device was opened")));
  assert.equal(contents(out), before);
  assert.ok(idle.printed.some((line) => /8 predictions in all, 8 of them finished already/.test(line)));

  const map = join(out, "predictions", "teacher", `${tested[0]!}.nii.gz`);
  fs.writeFileSync(map, "cut short");
  assert.is(predictions(await score({})), 1);
  assert.equal(fs.readFileSync(map), before.get(map));

  const t1 = join(data, tested[0]!, `${tested[0]!}_t1.nii.gz`);
  const scan = fs.readFileSync(t1);
  fs.copyFileSync(join(data, ids[0]!, `${ids[0]!}_t1.nii.gz`), t1);
  try {
    const again = await score({});
    assert.is(predictions(again), 2, "student_t1 and teacher, on one case");
  } finally {
    fs.writeFileSync(t1, scan);
  }
  assert.is(predictions(await score({})), 2);
  assert.is(predictions(await score({ step: 1 })), 8, "other windows");
  assert.is(predictions(await score({ overwrite: true })), 8);
});

test("a line that a crash cut short is removed, and its pair is predicted again", async () => {
  const out = join(folder, "crashed");
  await score({ out });
  const path = join(out, "results.jsonl");
  const whole = fs.readFileSync(path, "utf8");
  fs.writeFileSync(path, whole.slice(0, -30));
  assert.is(predictions(await score({ out })), 1);
  const kept = lines(out, "results.jsonl").map(
    (line) => JSON.parse(line) as { case: string; network: string },
  );
  assert.is(new Set(kept.map((line) => `${line.case} ${line.network}`)).size, 8);
});

test("a case that lacks a contrast of a subset does not count for it", async () => {
  const partial = join(folder, "partial");
  fs.cpSync(data, partial, { recursive: true });
  fs.rmSync(join(partial, tested[0]!, `${tested[0]!}_t1.nii.gz`));
  const { table, out } = await score({ data: partial, out: join(folder, "partial-out") });
  for (const { subset, cases, lacking, network } of table.rows) {
    const without = subset.includes("t1");
    assert.equal(lacking, without ? [tested[0]] : [], subsetName(subset));
    assert.is(cases.length, network === null ? 0 : without ? 1 : 2);
  }
  assert.match(fs.readFileSync(join(out, "subsets.md"), "utf8"), /1 of 2 \| student_t1 \|/);
  assert.match(
    fs.readFileSync(join(out, "subsets.csv"), "utf8"),
    new RegExp(`^t1,0,1,0,0,student_t1,${tested[0]!},lacks a contrast,,`, "m"),
  );
});

test("the command prints the table, with --json one object", () => {
  const out = join(folder, "by-command");
  const flags = ["--model", join(run, "student_t1"), "--data", data, "--out", out];
  const first = command("subsets", ...flags, "--quiet");
  assert.is(first.status, 0);
  assert.match(first.stderr, /^(case PHANTOM_00[23]: voxels of 10x10x10 mm are unusual: .*\n?)+$/);
  assert.match(first.stdout, /^FLAIR +T1 +T1ce +T2 +Dice WT/);
  assert.match(first.stdout, /2 of 2 {2}student_t1$/m);
  const { status, stdout } = command("subsets", ...flags, "--json");
  assert.is(status, 0);
  const objects = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string; rows?: unknown[] });
  assert.is(objects.at(-1)!.type, "subsets");
  assert.is(objects.at(-1)!.rows!.length, 15);
  assert.is(command("subsets", "--model", "x", "--data", data, "--fold", "some").status, 2);
});

/** Every file below a folder, by its path. */
function contents(out: string): Map<string, Buffer> {
  const names = fs.readdirSync(out, { recursive: true, encoding: "utf8" }).map((name) => join(out, name));
  return new Map(
    names.filter((path) => fs.statSync(path).isFile()).map((path) => [path, fs.readFileSync(path)]),
  );
}

test.run();
