// --stage pretrain on cases without labels, a later stage from its encoder, and what is refused.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { readEncoder, readModel } from "../../cli/files/models.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { run as command } from "../support/command.ts";
import { silenced } from "../support/quietly.ts";
import { tensorText } from "../support/tinyStages.ts";

const folder = mkdtempSync(join(tmpdir(), "pretraining-"));
const data = join(folder, "data");
const out = join(folder, "run");
const test = suite("pretraining");
const NAME = "pretrain_t1ce_desd";
const ENCODER = join(out, NAME, FILES.best);

test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 6, size: 20, seed: 5 }));
  const ids = (...numbers: number[]) => numbers.map((n) => `PHANTOM_00${n}`);
  const split = { train: ids(1, 2, 3, 4), val: ids(5), test: ids(6) };
  writeFileSync(join(data, "split.json"), JSON.stringify(split));
  const pair = { train: ids(3, 4), val: ids(5), test: ids(6) };
  writeFileSync(join(folder, "labelled.json"), JSON.stringify(pair));
  for (const id of ids(1, 2)) rmSync(join(data, id, `${id}_seg.nii.gz`));
});
test.after(() => rmSync(folder, { recursive: true }));

const NETWORK = ["--filters", "2", "--levels", "3", "--patch", "16", "--workers", "1", "--data", data];
const HEADS = ["--desd-hidden", "8", "--desd-embedding", "4", "--desd-prototypes", "12"];
const PRETRAIN = ["--stage", "pretrain", ...NETWORK, ...HEADS, "--batch", "2", "--epochs", "3"];
const LONG = [...PRETRAIN, "--epochs", "40"];
const STUDENT = ["--stage", "student", "--method", "none", ...NETWORK, "--batch", "2", "--epochs", "1"];

/** Runs train.js to its end. */
function train(...flags: string[]): string {
  const { status, stdout, stderr } = command("train", ...flags);
  assert.is(status, 0, stderr + stdout);
  return stdout;
}

/** The message of a train.js that refuses. */
function refused(...flags: string[]): string {
  const { status, stderr } = command("train", ...flags);
  assert.ok(status === 2 || status === 3, `${status}: ${stderr}`);
  return stderr;
}

test("cases without labels are pretrained on, and nothing speaks of Dice", async () => {
  const stdout = train(...PRETRAIN, "--out", out);
  assert.match(
    stdout,
    /\n {2}only cases to train are used: a pretraining has no scores to validate or test\n/,
  );
  assert.match(stdout, /\n {2}4 cases to train, 0 to validate, 0 to test/);
  assert.match(stdout, /epoch 3\/3: loss .* \(E_2 .*, E_3 .*\), entropy\/mean .*, entropy\/sample /);
  assert.ok(stdout.includes(`the encoder, for --init-encoder: ${ENCODER}`), stdout);
  const texts = [FILES.card, FILES.report, FILES.metrics, FILES.csv, FILES.progressSvg].map((file) =>
    readFileSync(join(out, NAME, file), "utf8"),
  );
  for (const text of [stdout, ...texts]) assert.not.match(text, /Dice/);
  const records = texts[2]!
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as EpochRecord);
  assert.equal(
    records.map(({ epoch, observed }) => [epoch, Object.keys(observed!)]),
    [1, 2, 3].map((epoch) => [epoch, ["entropy/mean", "entropy/sample"]]),
  );
  assert.match(texts[0]!, /pretrained without labels by DeSD on t1ce\. It segments nothing yet/);
  assert.match(
    texts[0]!,
    /--stage student --modality t1ce --filters 2 --levels 3 --norm instance --init-encoder/,
  );
  const { card, values } = await readEncoder(ENCODER);
  assert.equal([card!.part, card!.stage, card!.epoch], ["encoder", NAME, 3], "the last epoch's teacher");
  assert.ok(Object.keys(values).every((name) => !/_up|out_conv/.test(name)));
});

test("a pretraining that its time ends is resumed to the same bits", () => {
  const [whole, again] = [join(folder, "whole"), join(folder, "again")];
  assert.match(train(...LONG, "--out", again, "--max-time", "1s"), /the time of --max-time is up/);
  train(...LONG, "--out", again, "--resume");
  train(...LONG, "--out", whole);
  for (const file of [FILES.latest, FILES.best])
    assert.equal(tensorText(join(again, NAME, file)), tensorText(join(whole, NAME, file)), file);
});

test("a later stage starts from the encoder, and is an ordinary network", async () => {
  const from = ["--init-encoder", ENCODER, "--split", join(folder, "labelled.json")];
  train(...STUDENT, ...from, "--lr", "0", "--out", join(folder, "from"));
  const student = await readModel(join(folder, "from", "student_t1ce", FILES.best));
  const { values } = await readEncoder(ENCODER);
  for (const [name, { data }] of Object.entries(values))
    assert.equal([...student.values[name]!.data], [...data], name);
  const other = await readEncoder(student.path);
  assert.equal(Object.keys(other.values), Object.keys(values), "any network's encoder can be taken too");
});

test("the encoder is refused by name where a network is needed, and by a network that it does not fit", () => {
  const segments =
    /holds the encoder of a pretraining \(pretrain_t1ce_desd\), .* train a network from it with --init-encoder/;
  const { stderr } = command("predict", "--model", ENCODER, "--input", data, "--output", join(folder, "p"));
  assert.match(stderr, segments);
  assert.match(command("export", "--model", ENCODER, "--output", join(folder, "x.onnx")).stderr, segments);
  assert.match(refused(...STUDENT, "--method", "kd", "--teacher", ENCODER), segments);
  const started = [...STUDENT, "--init-encoder", ENCODER, "--out", join(folder, "refused")];
  assert.match(
    refused(...started, "--modality", "flair"),
    /saw t1ce, and this network sees flair: pretrain with/,
  );
  assert.match(
    refused(...started, "--filters", "4"),
    /expected the encoder of .* 4 filters, .*: use --filters 2/,
  );
  assert.match(refused(...started, "--init", ENCODER), /--init/);
  const shared = [...started, "--method", "ummkd", "--modality", "t1ce+flair"];
  assert.match(refused(...shared), /UMMKD trains its contrasts together .*: train without --init-encoder/);
});

for (const [flags, message] of [
  [["--method", "kd"], /^--method kd: needs labels: --stage pretrain has the method desd$/m],
  [["--modality", "any"], /^--modality any: a pretraining sees the same contrasts of every case/m],
  [["--modality", "any:t1+t1ce"], /^--modality any:t1\+t1ce: a pretraining sees the same contrasts/m],
  [["--modality", "each"], /^--modality each: goes with --method ummkd or uagan: the network of DeSD sees/m],
  [["--foreground", "0.3"], /^--foreground: --stage pretrain sees no labels, and does not use it$/m],
  [["--teacher", "x"], /^--teacher: --stage pretrain learns from no other network/m],
  [["--recipe", "nnunet"], /^--recipe: --stage pretrain has settings of its own/m],
  [["--deep-supervision"], /^--deep-supervision: --stage pretrain trains no decoder/m],
  [["--kd-weight", "1"], /^--kd-weight: the method desd does not use it$/m],
  [["--batch", "1"], /^--batch 1: .* use --batch 2 or more$/m],
] as const) {
  test(`a pretraining refuses ${flags.join(" ")}`, () =>
    assert.match(refused(...PRETRAIN, ...flags), message));
}

test("another stage refuses a pretraining's method, and a pretraining a single case", () => {
  assert.match(
    refused("--stage", "student", "--method", "desd"),
    /use --stage pretrain, and then --stage student/,
  );
  const single = join(folder, "single.json");
  writeFileSync(single, JSON.stringify({ train: ["PHANTOM_001"], val: [], test: [] }));
  assert.match(
    refused(...PRETRAIN, "--split", single, "--out", join(folder, "single")),
    /expected at least 2 cases to pretrain on, got 1: .* --split file, or use all with --fold all/,
  );
});

test.run();
