// Runs the commands as a user does, one after another in one temporary folder: a teacher, a student alone,
// the student with ProtoKD, a prediction, its evaluation. The network is tiny: scores do not matter here.

import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { tuningText } from "../../cli/device/tuning.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import type { Tuning } from "../../engine/index.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import type { Summary } from "../../model/scoring/summary.ts";
import { run } from "../support/command.ts";

const folder = mkdtempSync(join(tmpdir(), "commands-"));
const data = join(folder, "data");
const out = join(folder, "run");
const split = join(folder, "split.json");
const cases = [1, 2, 3, 4].map((n) => `PHANTOM_00${n}`);
const network = ["--patch", "16", "--levels", "2", "--filters", "2", "--batch", "2", "--epochs", "1"];
const shared = ["--data", data, "--out", out, "--split", split, ...network];

const test = suite("commands");

test.before(async () => {
  await makePhantom({ out: data, cases: 4, size: 24, seed: 5 });
  const [a, b, val, last] = cases;
  writeFileSync(split, JSON.stringify({ train: [a, b], val: [val], test: [last] }));
});
test.after(() => rmSync(folder, { recursive: true }));

test("train --stage teacher writes every file of a stage", () => {
  const { status, stdout, stderr } = run("train", "--stage", "teacher", ...shared);
  assert.is(stderr, "");
  assert.is(status, 0);
  assert.match(stdout, /teacher \(t1, t2, t1ce, flair\) .*\d\.\d{3}/, "a table of scores");
  const { subsetScores: _, ...files } = FILES; // of networks that take any contrasts
  assert.equal(readdirSync(join(out, "teacher")).sort(), Object.values(files).sort());
  assert.equal(readdirSync(join(out, "teacher", FILES.predictions)), [`${cases[3]}.nii.gz`]);

  const config = json<Record<string, unknown>>("teacher", FILES.config);
  assert.equal(config["patch"], [16, 16, 16]);
  assert.equal([config["lr"], config["norm"], config["method"]], [3e-3, "instance", "none"], "defaults too");
  const kernels = tuningText(config["tuning"] as Tuning);
  assert.match(kernels, /^forward (narrow|eight|subgroups|plain|tile)\b/, "and the kernels");
  const { train, val, test: held, labels } = json<Record<string, unknown>>("teacher", FILES.split);
  assert.equal([train, val, held, labels], [cases.slice(0, 2), [cases[2]], [cases[3]], "brats"]);
});

test("a student alone records losses, rate, validation and seconds per epoch", () => {
  const { status, stderr } = run("train", "--stage", "student", "--method", "none", ...shared);
  assert.is(stderr, "");
  assert.is(status, 0);
  const [line, ...more] = text("student_t1ce", FILES.metrics).trim().split("\n");
  assert.is(more.length, 0);
  const { epoch, step, rate, seconds, losses, validation } = JSON.parse(line!) as EpochRecord;
  assert.equal([epoch, step, rate], [1, 1, 3e-3]);
  assert.ok(seconds > 0);
  assert.equal(Object.keys(losses).sort(), ["crossEntropy", "dice", "total"]);
  assert.equal(Object.keys(validation!).sort(), ["ET", "TC", "WT", "mean"]);
});

test("a student with ProtoKD finds the teacher, and adds its terms to the loss", () => {
  const { status, stdout, stderr } = run("train", "--stage", "student", ...shared);
  assert.is(stderr, "");
  assert.is(status, 0);
  const teacher = join(out, "teacher", FILES.best);
  assert.ok(stdout.includes(`teacher: ${teacher}\n`), stdout);
  const { losses } = JSON.parse(text("student_t1ce_protokd", FILES.metrics)) as EpochRecord;
  assert.equal(Object.keys(losses).sort(), ["crossEntropy", "dice", "kd", "prototype", "total"]);
  assert.ok(losses["kd"]! > 0);
  assert.is(json<Record<string, unknown>>("student_t1ce_protokd", FILES.config)["teacher"], teacher);
});

test("the report shows teacher and student, and loads nothing", () => {
  const page = text("student_t1ce_protokd", FILES.report);
  assert.match(page, /student \(t1ce\) with ProtoKD/);
  assert.match(page, /teacher \(t1, t2, t1ce, flair\)/);
  assert.match(page, /src="data:image\/png;base64,/);
  for (const [, url] of page.matchAll(/(?:src|href)\s*=\s*["']?([^"'\s>]+)/g))
    assert.match(url!, /^(data:|#)/);
  assert.not.match(page.replace(/xmlns(:\w+)?="[^"]*"/g, ""), /https?:\/\/|@import|url\((?!#)/);
});

test("checkpoint_latest also holds the optimizer's moments and the samplers' states", () => {
  const read = (file: string) => decodeSafetensors(readFileSync(join(out, "student_t1ce", file)), file);
  const [best, latest] = [read(FILES.best), read(FILES.latest)];
  const names = Object.keys(best.tensors);
  assert.ok(names.includes("block_one.conv.0.weight"));
  for (const name of names) {
    for (const moment of ["mean", "square"])
      assert.ok(latest.tensors[`optimizer.main/${moment}.${name}`], name);
  }
  assert.is(Object.keys(latest.tensors).length, 3 * names.length + 1);
  assert.ok(latest.tensors["optimizer.main/guard"]);
  assert.ok(latest.metadata["training"]);
  assert.equal(Object.keys(JSON.parse(latest.metadata["sampler"]!) as object), ["paired"]);
});

test("predict, without labels, writes the stage's own prediction; evaluate prints its summary's mean", async () => {
  const id = cases[3]!;
  const input = join(folder, "hospital");
  const output = join(folder, "predictions");
  copyOnly(id, "t1ce", input);
  const model = join(out, "student_t1ce_protokd", FILES.best);
  const predicted = run("predict", "--model", model, "--input", input, "--output", output);
  assert.is(predicted.stderr, "");
  assert.is(predicted.status, 0);
  assert.match(predicted.stdout, /labels written: brats, by the input's names/);
  assert.match(predicted.stdout, /PHANTOM_004: \d+\.\d s, 8 windows \(1 of 1\)/);
  assert.match(predicted.stdout, /1 case, .* on the GPU/);
  const path = join(output, `${id}.nii.gz`);
  const own = join(out, "student_t1ce_protokd", FILES.predictions, `${id}.nii.gz`);
  const [volume, expected, image] = await Promise.all(
    [path, own, join(input, `${id}_t1ce.nii.gz`)].map(nifti),
  );
  assert.ok(expected!.data.some((value) => value > 0));
  assert.equal(volume!.data, expected!.data);
  assert.equal([volume!.size, volume!.affine], [image!.size, image!.affine]);

  const evaluated = run("evaluate", "--predictions", output, "--references", data, "--partial");
  assert.is(evaluated.status, 0);
  const { mean } = json<Summary>("student_t1ce_protokd", FILES.summary);
  const dice = [mean.WT, mean.TC, mean.ET].map((scores) => `${scores.Dice.toFixed(3)}[ *]`);
  assert.match(evaluated.stdout, new RegExp(`^mean of 1 of \\d+ +${dice.join(" +")}`, "m"));
});

test("--fast skips Dawn's checks, prints that, and predicts the same; config.json records it", async () => {
  const given = ["--stage", "student", "--method", "none", ...shared, "--out", join(folder, "fast")];
  const { status, stdout, stderr } = run("train", ...given, "--fast");
  assert.is(stderr, "");
  assert.is(status, 0);
  assert.match(stdout, /\n {2}--fast: kernels run without bounds checks\n/);
  assert.match(stdout, /\n {2}compiling \d+ kernels\n/);
  const config = readFileSync(join(folder, "fast", "student_t1ce", FILES.config), "utf8");
  assert.is((JSON.parse(config) as { fast: boolean }).fast, true);
  const safe = process.env["PROTOKD_TOGGLES"] !== "fast";
  if (safe) assert.is(json<{ fast: boolean }>("student_t1ce", FILES.config).fast, false);
  assert.match(run("train", ...given).stdout, /already trained with these settings/, "it is the same run");

  const model = join(out, "student_t1ce_protokd", FILES.best);
  const output = join(folder, "fastPredictions");
  const input = join(folder, "hospital");
  const predicted = run("predict", "--model", model, "--input", input, "--output", output, "--fast");
  assert.is(predicted.status, 0);
  assert.match(predicted.stdout, /^--fast: kernels run without bounds checks$/m);
  const [name] = readdirSync(output);
  const [fast, checked] = await Promise.all(
    [output, join(folder, "predictions")].map((path) => nifti(join(path, name!))),
  );
  assert.equal(fast!.data, checked!.data);
});

test("a finished stage is not trained again; other settings are refused by name, with exit code 2", () => {
  const before = text("teacher", FILES.metrics);
  const again = run("train", "--stage", "teacher", ...shared);
  assert.is(again.status, 0);
  assert.match(again.stdout, /teacher: already trained with these settings/);
  const other = run("train", "--stage", "teacher", ...shared, "--lr", "0.01", "--seed", "7");
  assert.is(other.status, 2);
  assert.match(
    other.stderr,
    /teacher: holds another run, which differs in seed \(0 → 7\), lr \(0.003 → 0.01\): .* choose another --out/,
  );
  assert.is(text("teacher", FILES.metrics), before);
});

test.run();

/** Copies one modality of a case into a new folder. */
function copyOnly(id: string, suffix: string, target: string): void {
  mkdirSync(target);
  const name = `${id}_${suffix}.nii.gz`;
  copyFileSync(join(data, id, name), join(target, name));
}

async function nifti(path: string) {
  return readNifti(readFileSync(path), path);
}

function text(stage: string, file: string): string {
  return readFileSync(join(out, stage, file), "utf8");
}

function json<T>(stage: string, file: string): T {
  return JSON.parse(text(stage, file)) as T;
}
