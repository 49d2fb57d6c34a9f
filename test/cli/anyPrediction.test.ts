// predict.js with a network that takes any of its contrasts. Its weights are random, not trained.

import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import type { PredictOptions } from "../../cli/predict.ts";
import { MODALITIES, type Modality, openDataset } from "../../data/datasets/datasets.ts";
import { folderSource } from "../../cli/files/folderSource.ts";
import { loadCase } from "../../data/check/loadCase.ts";
import { PREPARATION } from "../../data/preparation/preprocess.ts";
import { seenBy } from "../../trainer/stages/prediction.ts";
import { label, nifti, predictQuietly, records } from "../support/predicting.ts";
import { failure } from "../support/quietly.ts";
import { storeStage } from "../support/storedRun.ts";

const test = suite("any prediction");
const folder = fs.mkdtempSync(join(tmpdir(), "any-prediction-"));
const [phantom, run] = [join(folder, "phantom"), join(folder, "run")];
const model = join(run, "student_any");
const [id, other] = ["PHANTOM_001", "PHANTOM_002"] as const;

test.before(async () => {
  await makePhantom({ out: phantom, cases: 2, size: 16, seed: 5 });
  await storeStage(run, { name: "student_any", modalities: [...MODALITIES], any: true, seed: 3 });
  await storeStage(run, { name: "student_t1", modalities: ["t1"], dice: 0.4, seed: 2 });
});
test.after(() => fs.rmSync(folder, { recursive: true }));

const image = (root: string, modality: Modality, of: string = id) =>
  join(root, of, `${of}_${modality}.nii.gz`);

/** A copy of the first case with these contrasts. */
function caseOf(...modalities: readonly Modality[]): string {
  const root = fs.mkdtempSync(join(folder, "case-"));
  fs.mkdirSync(join(root, id));
  for (const modality of modalities) fs.copyFileSync(image(phantom, modality), image(root, modality));
  return root;
}

async function predict(options: Partial<PredictOptions> & { input: string }) {
  const { output = fs.mkdtempSync(join(folder, "predicted-")) } = options;
  const printed = await predictQuietly({ model, saveProbabilities: true, ...options, output });
  const files = [label(output, id), join(output, `${id}_probabilities.nii.gz`)];
  return { output, printed, bytes: files.map((path) => fs.readFileSync(path)) };
}

test("a contrast that is absent, or that --with rules out, changes no bit of the output", async () => {
  const absent = await predict({ input: caseOf("t1", "flair") });
  const input = caseOf(...MODALITIES);
  const restricted = await predict({ input, with: "t1+flair" });
  assert.equal(restricted.bytes, absent.bytes);
  fs.copyFileSync(image(phantom, "t2", other), image(input, "t2"));
  fs.writeFileSync(image(input, "t1ce"), "no volume");
  assert.equal((await predict({ input, with: "t1+flair" })).bytes, absent.bytes);
  fs.copyFileSync(image(phantom, "flair", other), image(input, "flair"));
  assert.not.equal(
    (await predict({ input, with: "t1+flair" })).bytes,
    absent.bytes,
    "a contrast that it sees",
  );
  const [record] = records(restricted.output);
  assert.equal(
    [record!.modalities, record!.sees],
    [
      ["t1", "flair"],
      ["t1", "flair"],
    ],
  );
  assert.equal(Object.keys(record!.inputs!), ["t1", "flair"]);
  assert.ok(absent.printed.includes(`  ${id}: student_any (t1, flair), with t1, flair: the only one given`));
});

test("the availability planes are all ones where all contrasts are there, and zeros where one is absent", async () => {
  const source = await folderSource(phantom);
  const dataset = await openDataset(source);
  const contrasts = { modalities: MODALITIES, any: true } as const;
  for (const there of [[...MODALITIES], ["t1", "flair"]] as Modality[][]) {
    const loaded = await loadCase(source, dataset, dataset.cases[0]!, there, {
      ...PREPARATION,
      labels: false,
    });
    const { images, channels } = seenBy(loaded, contrasts);
    const voxels = images.length / 8;
    for (const [i, modality] of MODALITIES.entries()) {
      const [own, plane] = [i, 4 + i].map((c) => images.subarray(c * voxels, (c + 1) * voxels));
      assert.is(channels[4 + i], `has ${modality}`);
      assert.ok(plane!.every((value) => value === (there.includes(modality) ? 1 : 0)));
      if (!there.includes(modality)) assert.ok(own!.every((value) => value === 0));
    }
  }
});

test("a network that takes any is averaged with one of a fixed contrast", async () => {
  const input = caseOf("t1", "t2");
  const models = [model, join(run, "student_t1")];
  const read = async ({ output }: { output: string }) =>
    (await nifti(join(output, `${id}_probabilities.nii.gz`))).data;
  const [a, b, both] = [
    await predict({ input }),
    await predict({ input, model: models[1]! }),
    await predict({ input, model: models }),
  ];
  const [one, two, mean] = [await read(a), await read(b), await read(both)];
  assert.ok(mean.every((value, i) => Math.abs(value - (one[i]! + two[i]!) / 2) < 1e-6));
  assert.ok(mean.some((value, i) => Math.abs(value - two[i]!) > 1e-3));
  assert.equal(records(both.output)[0]!.sees, ["t1", "t2"]);
});

test("--continue predicts a case again that has more contrasts now, and refuses one that is to use fewer", async () => {
  const input = caseOf("t1", "flair");
  const { output } = await predict({ input });
  fs.copyFileSync(image(phantom, "t1ce"), image(input, "t1ce"));
  const resume = (more: Partial<PredictOptions> = {}) => predict({ input, output, continue: true, ...more });
  const again = await resume();
  assert.match(
    again.printed.join("\n"),
    /predicted again, because their input changed since: PHANTOM_001 \(t1ce added\)$/m,
  );
  assert.equal(again.bytes, (await predict({ input })).bytes);
  assert.equal(records(output)[0]!.sees, ["t1", "t1ce", "flair"]);
  assert.ok((await resume()).printed.includes("1 of 1 cases are predicted already"));
  const { message } = await failure(() => resume({ with: "t1+flair" }));
  assert.match(message, /made differently: contrasts t1, t1ce, flair, now t1, flair: use the same again, or/);
  assert.equal(fs.readFileSync(label(output, id)), again.bytes[0]);
});

test("a case that a network of fixed contrasts predicted is predicted again by one that sees an added contrast", async () => {
  const input = caseOf("t1");
  const { output } = await predict({ input, model: run });
  assert.is(records(output)[0]!.model, "student_t1");
  fs.copyFileSync(image(phantom, "t2"), image(input, "t2"));
  const again = await predict({ input, output, model: run, continue: true });
  assert.equal([records(output)[0]!.model, records(output)[0]!.sees], ["student_any", ["t1", "t2"]]);
  assert.ok(again.printed.some((line) => line.endsWith(`: ${id} (t2 added)`)));
});

test("a case without any of the network's contrasts is refused by name", async () => {
  const two = join(folder, "two", "student_any");
  await storeStage(join(folder, "two"), { name: "student_any", modalities: ["t1ce", "flair"], any: true });
  const refused = async (options: Partial<PredictOptions>) =>
    (await failure(() => predict({ input: caseOf("t1", "flair"), model: two, ...options }))).message;
  assert.is(
    await refused({ input: caseOf("t1", "t2") }),
    `case ${id}: expected any of t1ce, flair for student_any, got only t1, t2; --model with the folder of a ` +
      "run would take a student of these",
  );
  assert.is(
    await refused({ with: "t1+t1ce" }),
    `case ${id}: expected any of t1ce, flair for student_any, got only t1 (--with rules out flair): allow ` +
      "more with --with",
  );
});

test("wrong contrasts of --with are refused before anything is read", async () => {
  const expected = "expected contrasts joined by + (t1, t2, t1ce, flair), got";
  for (const [options, message] of [
    [{ with: "t1+pet" }, `--with: ${expected} pet in t1+pet`],
    [{ available: "t1,pet" }, `--available: ${expected} pet in t1+pet`],
    [{ with: "t1+t2+T1" }, `--with: ${expected} t1 twice in t1+t2+T1`],
    [{ with: "" }, `--with: ${expected} none`],
    [{ with: "t1", available: "t1" }, "--available: is the older name of --with: give only --with"],
  ] as const)
    assert.is(
      (await failure(() => predict({ model: "nothing", input: "nothing", ...options }))).message,
      message,
    );
});

test("where --with leaves too little, the error names what a case has, what is needed, and --with", async () => {
  const fixed = join(folder, "fixed");
  await storeStage(fixed, { name: "teacher", modalities: [...MODALITIES] });
  await storeStage(fixed, { name: "student_flair", modalities: ["flair"] });
  const refused = async (options: Partial<PredictOptions>) =>
    (await failure(() => predict({ input: caseOf("t1ce", "flair"), ...options }))).message;
  assert.is(
    await refused({ with: "t1+t2", model: fixed }),
    `case ${id}: expected the modalities of one of student_flair (flair), teacher (t1, t2, t1ce, flair), got ` +
      "nothing (--with rules out t1ce, flair): allow more with --with, or train a student of these",
  );
  assert.is(
    await refused({ with: "t1+t1ce", model: join(fixed, "teacher") }),
    `case ${id}: expected t1, t2, flair for teacher, got only t1ce (--with rules out flair): allow more with ` +
      "--with",
  );
});

test.run();
