// evaluate on data sets: which files are references, and which predictions count.

import {
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type EvaluateOptions, evaluateFolders } from "../../cli/prediction/evaluation.ts";
import { run } from "../support/command.ts";
import { problemsOf } from "../support/fixtures.ts";
import { writeMap, writeRecord, wrong } from "../support/labelMaps.ts";

const test = suite<{ root: string; predictions: string; references: string }>("evaluate data");

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), "evaluate-data-"));
  context.predictions = join(context.root, "predictions");
  context.references = join(context.root, "references");
});
test.after.each(({ root }) => rmSync(root, { recursive: true }));

/** Writes a case as BraTS does, in `folder`, with names that begin with `id`. */
async function writeCase(folder: string, id: string, mark = "seg"): Promise<void> {
  await writeMap(join(folder, `${id}_t1.nii.gz`));
  await writeMap(join(folder, `${id}_${mark}.nii.gz`));
}

/** The files that were compared, and the mean Dice of the whole tumour. */
async function compared(options: EvaluateOptions): Promise<unknown[]> {
  const { metric_per_case: cases, mean } = await evaluateFolders(options);
  return [cases.map((one) => [one.prediction_file, one.reference_file]), mean.WT.Dice];
}

test("predictions written into the data folder are scored against the labels of its cases", async ({
  root,
}) => {
  for (const id of ["a", "b"]) {
    await writeCase(join(root, id), id);
    await writeMap(join(root, `${id}.nii.gz`), [0, 0, 0, 0, 4, 1]);
  }
  const scored = [
    ["a.nii.gz", "a/a_seg.nii.gz"],
    ["b.nii.gz", "b/b_seg.nii.gz"],
  ];
  const notes: string[] = [];
  const note = (line: string) => void notes.push(line);
  assert.equal(await compared({ predictions: root, references: root, note }), [scored, 0.4]);
  writeRecord(root, { a: {}, b: {} });
  await writeMap(join(root, "template.nii.gz"));
  assert.equal(await compared({ predictions: root, references: root }), [scored, 0.4]);
  assert.not.match(notes.join("\n"), /belong/, "the predictions are no oddity of the data set");
});

test("a prediction that is its reference, a link to it or a copy of it is refused", async (context) => {
  const { predictions, references } = context;
  for (const id of ["a", "b", "c", "d"]) await writeMap(join(references, `${id}.nii.gz`));
  mkdirSync(predictions);
  const both = (id: string) => [join(references, `${id}.nii.gz`), join(predictions, `${id}.nii.gz`)] as const;
  const same = await problemsOf(() => evaluateFolders({ predictions: references, references }));
  assert.is(same.length, 4);
  assert.match(
    same[0]!,
    /a\.nii\.gz: is the reference itself, .*a\.nii\.gz: give the predictions' own folder/,
  );
  symlinkSync(...both("a"));
  linkSync(...both("b"));
  await writeMap(join(predictions, "c.nii.gz"), wrong);
  const flags = { predictions, references, partial: true, labels: "brats" } as const;
  const linked = await problemsOf(() => evaluateFolders(flags));
  assert.equal(
    linked.map((line) => /(\w)\.nii\.gz: is the reference itself/.exec(line)?.[1]),
    ["a", "b"],
  );
  for (const id of ["a", "b"]) rmSync(join(predictions, `${id}.nii.gz`));
  cpSync(...both("d"));
  const copied = await problemsOf(() => evaluateFolders(flags));
  assert.is(copied.length, 1);
  assert.match(copied[0]!, /predictions\/d\.nii\.gz: is the reference itself/);
  for (const id of ["c", "d"]) writeRecord(predictions, { c: {}, [id]: {} });
  assert.is((await evaluateFolders(flags)).metric_per_case.length, 2, "predict wrote the same bytes");
});

test("a map of background alone may equal its reference to the byte", async ({ predictions, references }) => {
  for (const folder of [predictions, references]) await writeMap(join(folder, "a.nii.gz"), [0]);
  const { mean } = await evaluateFolders({ predictions, references, labels: "brats" });
  assert.is(mean.WT.Dice, 1);
});

test("references are those that training finds, in all layouts", async ({ root, predictions }) => {
  for (const id of ["a", "b"]) await writeMap(join(predictions, `${id}.nii.gz`), wrong);
  const at = (...path: string[]) => join(root, ...path);
  await writeCase(at("grades/HGG/a"), "a");
  await writeCase(at("grades/LGG/b"), "b");
  await writeCase(at("capitals/a"), "a", "SEG");
  await writeCase(at("capitals/b"), "b", "Seg");
  for (const id of ["a", "b"]) {
    await writeCase(at("named", `${id}_nifti`), id);
    await writeCase(at("stray", id), id);
    await writeCase(at("flat"), id);
    await writeMap(at("decathlon/labelsTr", `${id}.nii.gz`));
    await writeMap(at("decathlon/imagesTr", `${id}_0000.nii.gz`));
  }
  await writeMap(at("stray/template.nii.gz"));
  const labels = { 0: "background", 1: "necrotic core", 2: "oedema", 4: "enhancing tumour" };
  writeFileSync(at("decathlon/dataset.json"), JSON.stringify({ channel_names: { 0: "T1" }, labels }));
  for (const layout of ["grades", "capitals", "named", "stray", "flat", "decathlon"]) {
    const { metric_per_case: cases } = await evaluateFolders({ predictions, references: at(layout) });
    assert.equal(
      cases.map((one) => one.case),
      ["a", "b"],
      layout,
    );
  }
});

test("two candidates for one case are an error that names both", async ({ root, predictions }) => {
  await writeMap(join(predictions, "a.nii.gz"));
  await writeCase(join(root, "grades/HGG/a"), "a");
  await writeCase(join(root, "grades/LGG/a"), "a");
  const inTwo = () => evaluateFolders({ predictions, references: join(root, "grades") });
  assert.match((await problemsOf(inTwo))[0]!, /case a: .* HGG\/a\/a_seg\.nii\.gz and LGG\/a\/a_seg\.nii\.gz/);
  for (const name of ["a.nii.gz", "a_seg.nii.gz"]) await writeMap(join(root, "plain", name));
  const marked = () => evaluateFolders({ predictions, references: join(root, "plain") });
  assert.match((await problemsOf(marked))[0]!, /case a: .* got a\.nii\.gz and a_seg\.nii\.gz/);
  await writeMap(join(predictions, "a_seg.nii.gz"));
  const predicted = () => evaluateFolders({ predictions, references: join(root, "plain") });
  assert.match((await problemsOf(predicted))[0]!, /predictions, got a\.nii\.gz and a_seg\.nii\.gz/);
});

test("cases without a prediction are named and counted, with the reason from predictions.json", async (context) => {
  const { predictions, references } = context;
  const ids = ["a", "b", "c", "d", "e", "f", "g"];
  for (const id of ids) await writeCase(join(references, id), id);
  for (const id of ["a", "b", "d", "f"]) await writeMap(join(predictions, `${id}.nii.gz`), wrong);
  writeRecord(predictions, { a: {}, b: {}, d: { seconds: null }, e: {} }, ["c"]);
  const flags = ["--predictions", predictions, "--references", references];
  const { stdout, status } = run("evaluate", ...flags);
  assert.is(status, 0);
  assert.match(stdout, /^mean of 2 of 7 +0\.667/m);
  const line = /^2 of 7 cases: (.*)$/m.exec(stdout)![1]!.split("; ");
  assert.equal(line, [
    "c has no prediction (skipped by predict: predictions.json)",
    "d has no prediction (predict was stopped before: predictions.json)",
    "e has no prediction (the file is missing: predictions.json lists it)",
    "f has no prediction (predictions.json does not list the file)",
    "g has no prediction",
  ]);
  const summary = JSON.parse(readFileSync(join(predictions, "summary.json"), "utf8")) as object;
  const lines = run("evaluate", ...flags, "--json")
    .stdout.trim()
    .split("\n");
  const printed = JSON.parse(lines.at(-1)!) as { type: string; coverage: { missing: object[] } };
  for (const { coverage } of [summary as typeof printed, printed]) {
    assert.equal({ ...coverage, missing: coverage.missing.length }, { scored: 2, references: 7, missing: 5 });
    assert.equal(coverage.missing[0], { case: "c", why: "skipped by predict: predictions.json" });
    assert.equal(coverage.missing[4], { case: "g", why: null });
  }
});

test("long lists of cases without a prediction are cut", async ({ predictions, references }) => {
  const ids = Array.from({ length: 9 }, (_, i) => `c${i}`);
  for (const id of ids) await writeMap(join(references, `${id}.nii.gz`));
  await writeMap(join(predictions, "c0.nii.gz"), wrong);
  const flags = ["--predictions", predictions, "--references", references, "--labels", "brats"];
  assert.match(
    run("evaluate", ...flags).stderr,
    /no prediction of case c1 \(--partial evaluates without it\)/,
  );
  const { stdout } = run("evaluate", ...flags, "--partial");
  assert.match(stdout, /^mean of 1 of 9 /m);
  assert.match(stdout, /^1 of 9 cases: c1, c2, c3, c4, c5, c6 and 2 more have no prediction$/m);
});

test("a predictions.json that is no record is refused", async ({ predictions, references }) => {
  for (const folder of [predictions, references]) await writeMap(join(folder, "a.nii.gz"));
  writeFileSync(join(predictions, "predictions.json"), "{}");
  assert.match(
    (await problemsOf(() => evaluateFolders({ predictions, references })))[0]!,
    /predictions\.json: expected the record that predict writes, got other content: move it away/,
  );
});

test.run();
