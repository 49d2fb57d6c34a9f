// --method wsd from training to the presence of regions in new cases, and where its checkpoint is refused.

import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { readClassifier, readModel } from "../../cli/files/models.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import type { Place } from "../../data/preparation/place.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { run as command } from "../support/command.ts";
import { silenced } from "../support/quietly.ts";
import { tensorText } from "../support/tinyStages.ts";

const folder = mkdtempSync(join(tmpdir(), "presence-"));
const data = join(folder, "data");
const out = join(folder, "run");
const NAME = "student_t1ce_wsd";
const BEST = join(out, NAME, FILES.best);
const test = suite("presence");

test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 6, size: 24, seed: 5 }));
  const ids = (...numbers: number[]) => numbers.map((n) => `PHANTOM_00${n}`);
  const split = { train: ids(1, 2, 3), val: ids(4), test: ids(5, 6) };
  writeFileSync(join(data, "split.json"), JSON.stringify(split));
});
test.after(() => rmSync(folder, { recursive: true }));

const SIZES = ["--filters", "2", "--levels", "3", "--patch", "16", "--workers", "1", "--data", data];
const LENGTH = ["--batch", "2", "--epochs", "2", "--validate-every", "1"];
const STUDENT = ["--stage", "student", ...SIZES, ...LENGTH];
const WSD = [...STUDENT, "--method", "wsd", "--modality", "t1ce"];

/** Runs a command to its end. */
function done(name: string, ...flags: string[]): string {
  const { status, stdout, stderr } = command(name, ...flags);
  assert.is(status, 0, stderr + stdout);
  return stdout;
}

/** The message of a command that refuses. */
function refused(name: string, ...flags: string[]): string {
  const { status, stderr } = command(name, ...flags);
  assert.ok(status === 2 || status === 3, `${status}: ${stderr}`);
  return stderr;
}

test("a classifier trains after its teacher, and is judged by AUC and average precision", async () => {
  const teacher = done("train", "--stage", "teacher", ...SIZES, ...LENGTH, "--out", out);
  assert.match(teacher, /Dice/);
  const stdout = done("train", ...WSD, "--out", out);
  assert.match(stdout, /epoch 1\/2: loss .*features .*detector\.detection .*; AUC WT .* mAP/);
  assert.match(stdout, /epoch 2\/2: loss .*presence .*scores .*; AUC WT .* mAP/);
  assert.match(stdout, /\d+ windows of 2 test cases: AUC WT .*; average precision WT/);
  const texts = [FILES.card, FILES.report, FILES.csv, FILES.progressSvg].map((file) =>
    readFileSync(join(out, NAME, file), "utf8"),
  );
  for (const text of [stdout.replace(/^.*teacher.*$/gm, ""), texts[0]!, texts[2]!, texts[3]!])
    assert.not.match(text, /Dice/);
  for (const text of texts) assert.match(text, /AUC|precision/);
  const lines = readFileSync(join(out, NAME, FILES.metrics), "utf8")
    .trim()
    .split("\n");
  for (const line of lines) {
    const { validation, precision, score } = JSON.parse(line) as EpochRecord;
    assert.is(score, "AUC");
    for (const value of Object.values({ ...validation, ...precision })) assert.ok(value >= 0 && value <= 1);
    assert.equal(Object.keys(precision!), ["WT", "TC", "ET", "mean"]);
  }
  const { card, values } = await readClassifier(BEST);
  assert.equal([card!.part, card!.stage, card!.modalities], ["classifier", NAME, ["t1ce"]]);
  assert.ok("presence.weight" in values);
});

const OUT = join(folder, "found");

test("it is used without its teacher: presence.json and presence.csv of every case", () => {
  const hidden = join(folder, "hidden");
  renameSync(join(out, "teacher"), hidden);
  const alone = join(out, NAME);
  const stdout = done("predict", "--model", alone, "--input", data, "--output", OUT);
  renameSync(hidden, join(out, "teacher"));
  assert.match(stdout, /PHANTOM_001: WT 0\.\d+, TC 0\.\d+, ET 0\.\d+/);
  const { cases, ...about } = JSON.parse(readFileSync(join(OUT, "presence.json"), "utf8")) as {
    cases: Record<string, { probability: number; window: Place } & number>[];
    positions: string;
  };
  const { positions, ...named } = about;
  assert.equal(named, { model: NAME, modalities: ["t1ce"] });
  assert.match(positions, /^centre: mm, .*RAS\+.* voxels of the file/);
  assert.is(cases.length, 6);
  for (const one of cases) {
    assert.ok(one["windows"]! >= 1);
    for (const region of ["WT", "TC", "ET"]) {
      const { probability, window } = one[region]!;
      assert.ok(probability > 0 && probability < 1);
      assert.ok(window.first.every((v) => Number.isInteger(v) && v > -16 && v < 24));
      assert.equal(window.size, [16, 16, 16]);
      assert.ok(window.centre.length === 3 && window.centre.every(Number.isFinite));
    }
  }
  const [head, ...rows] = readFileSync(join(OUT, "presence.csv"), "utf8").trim().split("\n");
  assert.is(
    head,
    "case,windows,WT,WT_x_mm,WT_y_mm,WT_z_mm,TC,TC_x_mm,TC_y_mm,TC_z_mm,ET,ET_x_mm,ET_y_mm,ET_z_mm",
  );
  assert.equal(
    rows.map((row) => row.split(",").slice(0, 3)),
    cases.map((one) => [one["case"], one["windows"], one["WT"]!.probability].map(String)),
  );
  const scored = JSON.parse(readFileSync(join(out, NAME, "presence.json"), "utf8")) as {
    cases: typeof cases;
  };
  for (const one of scored.cases)
    for (const region of ["WT", "TC", "ET"]) {
      const { labelled } = one[region]! as { labelled?: number };
      assert.ok(labelled! >= 0 && labelled! <= one["windows"]!);
      delete (one[region] as { labelled?: number }).labelled;
    }
  assert.equal(scored.cases, cases.slice(4), "the test cases' own file has the same numbers");
});

test("results are not replaced by chance, and options that it does not use are refused", () => {
  const again = ["--model", BEST, "--input", data, "--output", OUT];
  assert.match(refused("predict", ...again), /presence\.json: exists: give --overwrite/);
  assert.match(done("predict", ...again, "--overwrite"), /6 cases: /);
  assert.match(refused("predict", ...again, "--overwrite", "--tta"), /--tta: .* does not use it/);
  const both = ["--model", join(out, "teacher"), "--model", BEST, "--input", data, "--output", OUT];
  assert.match(refused("predict", ...both), /is not averaged with others: give it alone/);
});

test("where a network should segment, one message says what the file is; a run skips it", () => {
  const holds = /holds a classifier \(student_t1ce_wsd\), .* segments nothing: use it with predict/;
  assert.match(refused("export", "--model", BEST, "--output", join(folder, "x.onnx")), holds);
  const other = ["--out", join(folder, "other")];
  assert.match(refused("train", ...STUDENT, "--method", "kd", "--teacher", BEST, ...other), holds);
  assert.match(refused("train", ...STUDENT, "--method", "none", "--init", BEST, ...other), holds);
  assert.match(refused("train", ...WSD, "--init", BEST, ...other), /give its encoder's .* --init-encoder/);
  const flags = ["--model", out, "--input", data, "--output", join(folder, "segmented")];
  assert.match(done("predict", ...flags), /6 cases, /);
});

test("the report shows each case beside its label, and a picture of the windows", () => {
  const { document } = parseHTML(readFileSync(join(out, NAME, FILES.report), "utf8"));
  const texts = [...document.querySelectorAll("h2, figcaption, .legend li")].map((one) => one.textContent);
  assert.ok(texts.includes("Presence in windows of 2 test cases"));
  for (const text of ["windows on T1ce", "label", "window of ET", "AUC", "Validation AUC"])
    assert.ok(texts.some((one) => one?.startsWith(text)) || document.body.textContent?.includes(text), text);
  const rows = [...document.querySelectorAll("tbody tr")].map((row) => row.textContent ?? "");
  for (const id of ["PHANTOM_005", "PHANTOM_006"])
    assert.ok(
      rows.some((row) => row.startsWith(id) && /0\.\d{3}(yes, \d+ of \d+ windows|no)/.test(row)),
      rows.join("\n"),
    );
});

test("--stage all trains it beside segmentations, each with scores of its own", () => {
  const all = join(folder, "all");
  const flags = ["--stage", "all", "--methods", "none,wsd", "--modality", "t1ce", "--seeds", "1,2"];
  const stdout = done("train", ...SIZES, ...LENGTH, ...flags, "--out", all);
  assert.match(stdout, /modality +method +Dice WT/);
  assert.match(stdout, /modality +method +AUC WT .*average precision WT.*\nt1ce +WSD +0\.\d{3} ±0\.\d{3}/);
  assert.not.match(stdout, /WSD .* - /, "no Dice of it");
  const json = readFileSync(join(all, "experiment.json"), "utf8");
  const { stages } = JSON.parse(json) as { stages: { method: string; presence?: { AUC: object } }[] };
  assert.equal(
    stages.filter(({ presence }) => presence).map(({ method }) => method),
    ["wsd", "wsd"],
  );
  const page = readFileSync(join(all, FILES.report), "utf8");
  for (const text of [
    "Presence of regions in windows",
    "Mean validation AUC, t1ce",
    "Mean validation Dice, t1ce",
  ])
    assert.ok(page.includes(text), text);
  const again = done("train", ...SIZES, ...LENGTH, ...flags, "--out", all);
  assert.is(again.match(/finished before/g)?.length, 6, again);
});

test("a student starts from its encoder", async () => {
  const from = ["--method", "none", "--norm", "batch", "--init-encoder", BEST, "--lr", "0", "--epochs", "1"];
  done("train", ...STUDENT, ...from, "--modality", "t1ce", "--out", join(folder, "from"));
  const { values } = await readModel(join(folder, "from", "student_t1ce", FILES.best));
  const { values: own } = await readClassifier(BEST);
  const shared = Object.keys(values).filter((name) => name in own && !/running|batches/.test(name));
  const trained = Object.keys(own).filter((name) => !/running|batches/.test(name));
  assert.is(shared.length, trained.length - 2, "all but the head");
  for (const name of shared) assert.equal([...values[name]!.data], [...own[name]!.data], name);
});

test("a training that its time ends is resumed to the same bits", () => {
  const long = [...WSD, "--epochs", "40", "--teacher", join(out, "teacher", FILES.best)];
  const [whole, again] = [join(folder, "whole"), join(folder, "again")];
  assert.match(done("train", ...long, "--out", again, "--max-time", "2s"), /the time of --max-time is up/);
  done("train", ...long, "--out", again, "--resume");
  done("train", ...long, "--out", whole);
  for (const file of [FILES.latest, FILES.best])
    assert.equal(tensorText(join(again, NAME, file)), tensorText(join(whole, NAME, file)), file);
});

test.run();
