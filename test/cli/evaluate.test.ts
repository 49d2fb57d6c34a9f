// The evaluate command on folders of small label files: layouts, the summary, and bad input.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Command } from "commander";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runCommand } from "../../cli/terminal/command.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { evaluateFolders } from "../../cli/prediction/evaluation.ts";
import { DataError } from "../../data/errors.ts";
import { writeNifti } from "../../data/nifti/nifti.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import { run } from "../support/command.ts";

const size: Vec3 = [2, 3, 4];
const affine = [
  [-1, 0, 0, 10],
  [0, -1, 0, 20],
  [0, 0, 2, 0],
  [0, 0, 0, 1],
];
const label = Uint8Array.from({ length: 24 }, (_, i) => [0, 0, 1, 2, 4, 0][i % 6]!);
const shifted = Uint8Array.from({ length: 24 }, (_, i) => [0, 1, 2, 4, 0, 0][i % 6]!);

const test = suite<{ root: string; predictions: string; references: string }>("evaluate");

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), "evaluate-"));
  context.predictions = join(context.root, "predictions");
  context.references = join(context.root, "references");
});
test.after.each(({ root }) => rmSync(root, { recursive: true }));

async function write(
  path: string,
  data = label,
  changes: Partial<{ size: Vec3; affine: number[][] }> = {},
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const stored = path.includes("predictions") ? data : Float32Array.from(data); // not a copy of the other
  writeFileSync(path, await writeNifti({ data: stored, size, affine, ...changes }));
}

const evaluate = (...flags: string[]) => run("evaluate", ...flags);

async function refusal(promise: Promise<unknown>): Promise<DataError> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, DataError);
    return error as DataError;
  }
  throw new Error("expected a DataError, got a result");
}

test("the command prints a table and writes summary.json beside the predictions", async (context) => {
  const { predictions, references } = context;
  for (const id of ["a", "b"]) await write(join(references, `${id}.nii.gz`));
  await write(join(predictions, "a.nii.gz"));
  await write(join(predictions, "b.nii.gz"), shifted);
  const { status, stdout, stderr } = evaluate(
    ...["--predictions", predictions, "--references", references, "--labels", "brats"],
  );
  assert.is(stderr, "");
  assert.is(status, 0);
  assert.match(stdout, /^a +1\.000 +1\.000 +1\.000 +1\.000 +0\.0/m);
  assert.match(stdout, /^mean of 2 +0\.833 +0\.500 +0\.500 +0\.611/m);
  assert.equal(readdirSync(predictions).sort(), ["a.nii.gz", "b.nii.gz", "summary.json"]);
  const summary = JSON.parse(readFileSync(join(predictions, "summary.json"), "utf8")) as Record<
    string,
    unknown
  >;
  assert.is(summary["convention"], "brats");
  const [first] = summary["metric_per_case"] as Record<string, unknown>[];
  assert.is(first!["prediction_file"], "a.nii.gz");
  assert.not.ok(JSON.stringify(summary).includes(predictions), "no absolute path");
  assert.equal(summary["mean"], (await evaluateFolders({ predictions, references, labels: "brats" })).mean);
});

test("--convention sets the score of an empty region in the table, the file and its mean", async (context) => {
  const { predictions, references } = context;
  const both = ["--predictions", predictions, "--references", references, "--labels", "brats"];
  const bare = label.map((value) => (value === 4 ? 1 : value));
  await write(join(predictions, "a.nii.gz"));
  await write(join(references, "a.nii.gz"), bare);
  assert.match(evaluate(...both).stdout, /^mean of 1 .* 0\.000\*? .* 373\.1/m);
  const { stdout } = evaluate(...both, "--convention", "monai");
  assert.match(stdout, /^mean of 1 +1\.000 +1\.000 +-\* +- +0\.0 +0\.0 +-\* +-$/m);
  const summary: unknown = JSON.parse(readFileSync(join(predictions, "summary.json"), "utf8"));
  assert.is((summary as { convention: string }).convention, "monai");
  assert.match(evaluate(...both, "--convention", "none").stderr, /choices are brats, brats2023, nnunet/);
});

test("spacing comes from the files: 2 mm slices count as 2 mm", async ({ predictions, references }) => {
  const at = (slice: number) => new Uint8Array(24).fill(4, 12 * slice, 12 * slice + 12);
  await write(join(predictions, "a.nii.gz"), at(0));
  await write(join(references, "a.nii.gz"), at(1));
  const { mean } = await evaluateFolders({ predictions, references, labels: "brats" });
  assert.is(mean.ET.HD95, 2);
});

test("references are found flat, marked -seg, in BraTS folders and in labelsTr", async (context) => {
  const { root, predictions } = context;
  await write(join(predictions, "a.nii.gz"));
  const layouts = {
    flat: ["a.nii.gz"],
    plain: ["a.nii.gz"],
    marked: ["a-seg.nii.gz", "a-t1n.nii.gz"],
    folders: ["a/a_seg.nii.gz", "a/a_t1.nii.gz", "other/other_seg.nii.gz"],
    set: ["labelsTr/a.nii.gz", "labelsTr/other.nii.gz", "imagesTr/a_0000.nii.gz"],
  };
  for (const [layout, files] of Object.entries(layouts)) {
    for (const file of files) await write(join(root, layout, file), file.includes("t1") ? shifted : label);
    const { mean, metric_per_case: cases } = await evaluateFolders({
      labels: "brats",
      predictions,
      references: join(root, layout),
    });
    assert.equal([cases.length, mean.WT.Dice], [1, 1], layout);
  }
});

test("labels are read in the convention given; a value outside it names the file", async (context) => {
  const { predictions, references } = context;
  const three = label.map((value) => (value === 4 ? 3 : value));
  await write(join(predictions, "a.nii.gz"), three);
  await write(join(references, "a.nii.gz"), three);
  const { mean } = await evaluateFolders({ predictions, references, labels: "msd" });
  assert.equal([mean.WT.n_ref, mean.TC.n_ref, mean.ET.n_ref], [12, 8, 4]);
  const { problems } = await refusal(evaluateFolders({ predictions, references, labels: "brats" }));
  assert.equal(
    problems.map((line) => line.split(":")[0]),
    [join(predictions, "a.nii.gz"), join(references, "a.nii.gz")],
  );
});

test("one error names every case that lacks a prediction or a reference", async ({
  predictions,
  references,
}) => {
  for (const id of ["a", "b", "c"]) await write(join(predictions, `${id}.nii.gz`));
  for (const id of ["b", "d"]) await write(join(references, `${id}.nii.gz`));
  const { problems } = await refusal(evaluateFolders({ predictions, references, partial: true }));
  assert.equal(
    problems.map((line) => /case (\w)/.exec(line)![1]),
    ["a", "c"],
  );
  const strict = await refusal(evaluateFolders({ predictions, references, labels: "brats" }));
  assert.equal(
    strict.problems.map((line) => /case (\w)/.exec(line)![1]),
    ["a", "c", "d"],
  );
  const { status, stderr, stdout } = evaluate("--predictions", predictions, "--references", references);
  assert.is(status, 3);
  assert.is(stdout, "");
  assert.match(stderr, /3 problems/);
  assert.not.match(stderr, /\n\s+at /, "no stack");
});

test("one error lists all other shapes, other affines and broken files", async (context) => {
  const { predictions, references } = context;
  for (const id of ["affine", "broken", "good", "shape"]) await write(join(references, `${id}.nii.gz`));
  await write(join(predictions, "good.nii.gz"));
  await write(join(predictions, "shape.nii.gz"), label, { size: [3, 2, 4] });
  const moved = affine.map((row, i) => (i === 0 ? [...row.slice(0, 3), 11] : row));
  await write(join(predictions, "affine.nii.gz"), label, { affine: moved });
  writeFileSync(join(predictions, "broken.nii.gz"), "no volume");
  const { problems } = await refusal(evaluateFolders({ predictions, references, labels: "brats" }));
  assert.is(problems.length, 3);
  assert.match(problems[0]!, /affine\.nii\.gz: expected the affine .* 1\.00 mm away/);
  assert.match(problems[1]!, /broken\.nii\.gz/);
  assert.match(problems[2]!, /shape\.nii\.gz: expected the shape 4x3x2 .* got 4x2x3/);
  const flags = ["--predictions", predictions, "--references", references, "--labels", "brats"];
  assert.is(evaluate(...flags).status, 3);
  assert.not.ok(readdirSync(predictions).includes("summary.json"));
});

test("folders that are missing, empty or ambiguous are named", async ({ root, predictions, references }) => {
  await write(join(predictions, "a.nii.gz"));
  mkdirSync(references);
  assert.match(
    (await refusal(evaluateFolders({ predictions, references, labels: "brats" }))).message,
    /references: expected reference labels/,
  );
  const none = join(root, "none");
  assert.match(
    (await refusal(evaluateFolders({ predictions, references: none }))).message,
    /none: expected a folder, got nothing/,
  );
  assert.match(
    (await refusal(evaluateFolders({ predictions: references, references }))).message,
    /expected predictions/,
  );
  await write(join(predictions, "a.nii"));
  assert.match(
    (await refusal(evaluateFolders({ predictions, references, labels: "brats" }))).message,
    /case a: expected one label file in .*, got a\.nii and a\.nii\.gz/,
  );
});

test("usage errors exit with 2, name the nearest option, and need no data", () => {
  const both = ["--predictions", "x", "--references", "y"];
  const unknown = evaluate(...both, "--partiall");
  assert.is(unknown.status, 2);
  assert.match(unknown.stderr, /unknown option '--partiall'\n\(Did you mean --partial\?\)/);
  assert.match(
    evaluate(...both, "--wholly-else").stderr,
    /unknown option '--wholly-else': the options are .*--labels/,
  );
  assert.match(
    evaluate("--prediction", "x").stderr,
    /'--predictions <folder>' not specified, and --prediction is not an option/,
  );
  const missing = evaluate("--predictions", "x");
  assert.is(missing.status, 2);
  assert.match(missing.stderr, /--references/);
  assert.match(evaluate(...both, "--labels", "z").stderr, /brats2023/);
  const help = evaluate("--help");
  assert.is(help.status, 0);
  assert.match(help.stdout, /--labels/);
});

test("a command's exit code is that of the error's kind, and --debug adds the stack", async () => {
  class NoAdapterError extends Error {
    override readonly name = "NoAdapterError";
  }
  const printed: string[] = [];
  const before = console.error;
  console.error = (text: string) => void printed.push(text);
  try {
    const exit = (error: unknown, ...argv: string[]) =>
      runCommand(
        new Command("x"),
        () => {
          throw error;
        },
        argv,
      );
    assert.is(await exit(new UsageError("u")), 2);
    assert.is(await exit(new DataError("d")), 3);
    assert.is(await exit(new NoAdapterError("n")), 4);
    assert.is(await exit(new Error("e")), 1);
    assert.is(await exit("text"), 1);
    assert.equal(printed.splice(0), ["u", "d", "n", "e", "text"]);
    assert.is(await exit(new Error("e"), "--debug"), 1);
    assert.match(printed[0]!, /Error: e\n +at /);
    assert.is(await runCommand(new Command("x"), () => {}, []), 0);
  } finally {
    console.error = before;
  }
});

test.run();
