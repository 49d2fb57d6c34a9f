// subsets.js: the table of fifteen on a phantom, with a run of tiny networks whose weights are random.

import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { choose, readCandidates } from "../../cli/prediction/candidates.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { scoreSubsets, type SubsetsOptions } from "../../cli/subsets.ts";
import { MODALITIES, type Modality } from "../../data/datasets/datasets.ts";
import { ALL_SUBSETS, subsetName } from "../../trainer/experiments/subsets.ts";
import type { SubsetTable } from "../../trainer/experiments/subsetTable.ts";
import { run as command } from "../support/command.ts";
import { device } from "../support/gradcheck.ts";
import { label, predictQuietly } from "../support/predicting.ts";
import { failure, silenced } from "../support/quietly.ts";
import { storeStage } from "../support/storedRun.ts";

const test = suite("subsets");
const folder = fs.mkdtempSync(join(tmpdir(), "subsets-"));
const data = join(folder, "data");
const run = join(folder, "run");
const ids = ["PHANTOM_001", "PHANTOM_002", "PHANTOM_003"];
const tested = ids.slice(1);

test.before(async () => {
  await makePhantom({ out: data, cases: 3, size: 16, seed: 5 });
  await storeRun(run, 1);
});
test.after(() => fs.rmSync(folder, { recursive: true }));

test("the table has 15 rows in order, each by the network that predict.js would choose, over the run's test cases", async () => {
  assert.equal(
    ALL_SUBSETS.map(subsetName).join(" "),
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
  for (const [i, subset] of ALL_SUBSETS.entries()) {
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
  assert.is(page.match(/<tr/g)!.length, 17);
  assert.not.match(page, /<script/);
  assert.not.match(fs.readFileSync(join(out, "subsets.json"), "utf8"), new RegExp(folder), "no path");
});

test("a subset's label map equals predict.js's with --available to the byte, and its scores evaluate.js's", async () => {
  const { table, out } = await score({});
  for (const [subset, network] of [
    ["t1", "student_t1"],
    ["t1,t1ce", "student_t1ce"],
    ["t1,t2,t1ce,flair", "teacher"],
  ] as const) {
    const output = join(folder, `predicted-${network}`);
    await predictQuietly({ model: run, input: data, output, available: subset });
    for (const id of tested) {
      const own = join(out, "predictions", network, `${id}.nii.gz`);
      assert.equal(fs.readFileSync(own), fs.readFileSync(label(output, id)), `${subset} ${id}`);
    }
    fs.rmSync(label(output, ids[0]!));
    assert.is(command("evaluate", "--predictions", output, "--references", data, "--quiet").status, 0);
    const summary = read<{ mean: Record<string, { Dice: number; HD95: number }> }>(output, "summary.json");
    const { scores } = table.rows.find((row) => row.subset.join() === subset)!;
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

test("--against compares each subset's cases with another run's; its own table differs by 0", async () => {
  const other = join(folder, "other");
  await storeRun(other, 20);
  const theirs = await score({ model: other });
  const ours = await score({ against: other });
  const { against } = read<{ against: { name: string; comparisons: Compared[] } }>(ours.out, "subsets.json");
  assert.is(against.name, "other");
  const t1 = against.comparisons.find(
    (one) => one.subset === "t1" && one.column === "WT" && one.measure === "Dice",
  )!;
  const dice = ({ table }: { table: SubsetTable }) => table.rows[0]!.scores!.Dice.WT.mean;
  assert.ok(Math.abs(t1.difference - (dice(ours) - dice(theirs))) < 1e-12);
  assert.ok(t1.difference !== 0);
  assert.is(t1.cases, 2);
  assert.ok(ours.printed.at(-1)!.includes("less other:"));

  await score({ against: run });
  const same = read<{ against: { comparisons: Compared[] } }>(ours.out, "subsets.json");
  assert.is(same.against.comparisons.filter(({ difference, p }) => difference !== 0 || p !== 1).length, 0);
  assert.is(same.against.comparisons.filter(({ subset }) => subset === "t1ce+flair").length, 8);
});

test("--against refuses a run without a table, and one of other cases, labels or another convention", async () => {
  const bare = join(folder, "bare");
  await storeRun(bare, 2);
  assert.match(
    await refused({ against: bare }),
    /^--against .*bare: expected a run with a finished table, got no subsets\.json: make it first with/,
  );
  await score({});
  const all = await score({ cases: "all", out: join(folder, "all") });
  assert.equal(all.table.cases, ids);
  assert.ok(
    all.printed.some((line) => /1 of 3 cases \(PHANTOM_001\) were used to train or validate/.test(line)),
  );
  assert.match(
    await refused({ against: all.out }),
    /has other cases: it also has PHANTOM_001: make that table again/,
  );
  assert.match(
    await refused({ cases: "all", out: join(folder, "all"), against: run }),
    /has other cases: it lacks PHANTOM_001/,
  );
  assert.match(
    await refused({ against: run, convention: "acn" }),
    /scored by the convention brats, this one by acn/,
  );
});

test("bad input ends with one message, before the device opens, and leaves no folder", async () => {
  const closed = join(folder, "closed");
  const at = (options: Partial<SubsetsOptions>) => refused({ out: closed, ...options });
  const untested = join(folder, "untested");
  await storeRun(untested, 1, { train: ids, val: [], test: [] });
  assert.match(
    await at({ model: untested }),
    /split\.json: expected test cases, got a split without any: .*--cases all/,
  );
  assert.match(
    await at({ cases: "all", split: "x.json" }),
    /^--cases all: takes every case: give no --split$/,
  );
  assert.match(await at({ model: [run, run], out: undefined }), /^--out: name the table's folder/);
  const published = join(folder, "published.safetensors");
  fs.writeFileSync(published, withoutCard(fs.readFileSync(join(run, "student_t1", FILES.best))));
  assert.match(
    await at({ model: published }),
    /published\.safetensors: does not say which modality it sees: say it with --modality$/,
  );
  const file = join(folder, "file");
  fs.writeFileSync(file, "");
  assert.match(await at({ out: file }), /^--out .*file: expected a folder or a new path, got a file$/);
  const unlabelled = join(folder, "unlabelled");
  fs.cpSync(data, unlabelled, { recursive: true });
  for (const id of ids) fs.rmSync(join(unlabelled, id, `${id}_seg.nii.gz`));
  const missing = await at({ data: unlabelled, labels: "brats" });
  for (const id of tested) assert.match(missing, new RegExp(`case ${id}: expected a label`));

  const damaged = join(folder, "damaged");
  fs.cpSync(data, damaged, { recursive: true });
  fs.writeFileSync(join(damaged, tested[0]!, `${tested[0]!}_t1.nii.gz`), "no volume");
  fs.writeFileSync(join(damaged, tested[1]!, `${tested[1]!}_seg.nii.gz`), "no label");
  const problems = await at({ data: damaged });
  assert.match(problems, /PHANTOM_002_t1\.nii\.gz/);
  assert.match(problems, /PHANTOM_003_seg\.nii\.gz/);
  assert.not(fs.existsSync(closed));
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

interface Compared {
  subset: string;
  measure: string;
  column: string;
  cases: number;
  difference: number;
  p: number;
}

/** A run of a teacher and three students: none of T2. */
async function storeRun(
  path: string,
  seed: number,
  split = { train: ids.slice(0, 1), val: [] as string[], test: tested },
): Promise<void> {
  const stages: [string, Modality[], number][] = [
    ["teacher", [...MODALITIES], 0.8],
    ["student_t1", ["t1"], 0.3],
    ["student_t1ce", ["t1ce"], 0.5],
    ["student_flair", ["flair"], 0.4],
  ];
  for (const [i, [name, modalities, dice]] of stages.entries()) {
    await storeStage(path, { name, modalities, dice, seed: seed + i });
    fs.writeFileSync(join(path, name, FILES.split), JSON.stringify(split));
  }
}

/** Scores as the command does; what it prints, and where the table is. */
async function score(
  options: Partial<SubsetsOptions>,
  open = () => Promise.resolve(device),
): Promise<{ table: SubsetTable; printed: string[]; out: string }> {
  const all: SubsetsOptions = { model: run, data, ...options };
  let table: SubsetTable | null = null;
  const printed = await silenced(async () => (table = await scoreSubsets(open, all)));
  return { table: table!, printed, out: all.out ?? join(all.model as string, "subsets") };
}

async function refused(options: Partial<SubsetsOptions>): Promise<string> {
  const opened = () => Promise.reject(new Error("the device was opened"));
  return (await failure(() => score(options, opened))).message;
}

/** The number of predictions that a call made. */
function predictions({ printed }: { printed: string[] }): number {
  const line = printed.find((text) => / predictions? in \d/.test(text));
  return line === undefined ? 0 : parseInt(line);
}

function lines(out: string, name: string): string[] {
  return fs.readFileSync(join(out, name), "utf8").trim().split("\n");
}

function read<Content>(out: string, name: string): Content {
  return JSON.parse(fs.readFileSync(join(out, name), "utf8")) as Content;
}

/** A checkpoint's bytes without the metadata, as a published one has them. */
function withoutCard(bytes: Buffer): Buffer {
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Record<string, unknown>;
  delete header["__metadata__"];
  const text = Buffer.from(JSON.stringify(header).padEnd(length));
  return Buffer.concat([bytes.subarray(0, 8), text, bytes.subarray(8 + length)]);
}

/** Every file below a folder, by its path. */
function contents(out: string): Map<string, Buffer> {
  const names = fs.readdirSync(out, { recursive: true, encoding: "utf8" }).map((name) => join(out, name));
  return new Map(
    names.filter((path) => fs.statSync(path).isFile()).map((path) => [path, fs.readFileSync(path)]),
  );
}

test.run();
