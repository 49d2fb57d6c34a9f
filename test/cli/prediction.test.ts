// predict.js with a run's folder: the model of each case, the files and their grid, and how an interrupted
// prediction continues. The networks are tiny; their weights are random, not trained.

import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { findPredictions } from "../../cli/prediction/predictionFiles.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { predictFolder, type PredictOptions } from "../../cli/predict.ts";
import type { CaseRecord } from "../../cli/prediction/predictionRecord.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { MODALITIES, type Modality } from "../../data/datasets/datasets.ts";
import { NO_POSTPROCESSING } from "../../model/inference/postprocess.ts";
import { likeliest } from "../../model/inference/predict.ts";
import { label, nifti, predictQuietly, records } from "../support/predicting.ts";
import { failure, silenced } from "../support/quietly.ts";
import { storeStage } from "../support/storedRun.ts";

const test = suite("prediction");
const folder = fs.mkdtempSync(join(tmpdir(), "prediction-"));
const phantom = join(folder, "phantom");
const data = join(folder, "data");
const run = join(folder, "run");
/** The modalities of each case. */
const CASES: Record<string, readonly Modality[]> = {
  PHANTOM_001: MODALITIES,
  PHANTOM_002: ["t1", "t1ce"],
  PHANTOM_003: ["flair"],
};
const ids = Object.keys(CASES);

test.before(async () => {
  await makePhantom({ out: phantom, cases: 3, size: 16, seed: 5 });
  for (const [id, modalities] of Object.entries(CASES)) {
    fs.mkdirSync(join(data, id), { recursive: true });
    for (const m of modalities) fs.copyFileSync(image(phantom, id, m), image(data, id, m));
  }
  await storeStage(run, { name: "teacher", modalities: [...MODALITIES], dice: 0.8 });
  await storeStage(run, { name: "student_t1", modalities: ["t1"], dice: 0.3, seed: 2 });
  await storeStage(run, { name: "student_t1ce_protokd", modalities: ["t1ce"], dice: 0.5, seed: 3 });
  await storeStage(run, { name: "student_flair", modalities: ["flair"], dice: 0.4, seed: 4 });
});
test.after(() => fs.rmSync(folder, { recursive: true }));

test("each case gets the best model that its modalities allow; the choice is printed and recorded with its reason", async () => {
  const { output, printed } = await predict({});
  assert.equal(
    records(output).map((one) => [one.case, one.modalities, one.model]),
    [
      ["PHANTOM_001", [...MODALITIES], "teacher"],
      ["PHANTOM_002", ["t1", "t1ce"], "student_t1ce_protokd"],
      ["PHANTOM_003", ["flair"], "student_flair"],
    ],
  );
  for (const one of records(output)) {
    assert.ok(one.seconds! > 0 && one.windows! > 0);
    assert.equal([one.labels, one.step, one.mirror, one.postprocessing], ["brats", 0.5, false, "none"]);
    assert.is(one.checkpoints.length, 1);
    const why = one.model === "teacher" ? "it sees t1, t2, t1ce, flair" : one.why;
    const line = `  ${one.case}: ${one.model} (${one.sees!.join(", ")}), with ${one.modalities.join(", ")}: ${why}`;
    assert.is(one.sees!.join(), one.model === "teacher" ? MODALITIES.join() : one.model.split("_")[1]);
    const unused = one.case === "PHANTOM_002" ? "; not used: t1" : "";
    assert.ok(printed.includes(line + unused), `${line}\n${printed.join("\n")}`);
  }
  assert.match(records(output)[1]!.why, /^Dice in validation 0.500; student_t1 0.300$/);
  assert.not.match(fs.readFileSync(join(output, "predictions.json"), "utf8"), /\/|\\\\/, "no path");
  assert.equal(fs.readdirSync(output).sort(), [...ids.map((id) => `${id}.nii.gz`), "predictions.json"]);
  for (const { case: id, model } of records(output)) {
    const alone = await predict({ model: join(run, model), input: join(data, id) });
    assert.equal(fs.readFileSync(label(output, id)), fs.readFileSync(label(alone.output, id)), id);
  }
});

test("--with limits the modalities; --available is its older name", async () => {
  for (const options of [{ with: "FLAIR+t1" }, { with: "flair, t1" }, { available: "T1, flair" }]) {
    const { output } = await predict({ ...options, input: join(data, "PHANTOM_001") });
    assert.equal(
      records(output).map((one) => [one.model, one.modalities]),
      [["student_flair", ["t1", "flair"]]],
    );
  }
});

test("one error names all cases that no model fits, before the first starts; --skip-bad predicts the others", async () => {
  const two = join(folder, "two");
  await storeStage(two, { name: "student_t1", modalities: ["t1"] });
  await storeStage(two, { name: "student_t2", modalities: ["t2"] });
  const bad = join(folder, "bad");
  for (const id of ids.slice(0, 2)) fs.mkdirSync(join(bad, id), { recursive: true });
  fs.copyFileSync(image(phantom, ids[0]!, "t1"), image(bad, ids[0]!, "t1"));
  fs.writeFileSync(image(bad, ids[1]!, "t1"), "no volume");
  fs.mkdirSync(join(bad, ids[2]!));
  fs.copyFileSync(image(phantom, ids[2]!, "flair"), image(bad, ids[2]!, "flair"));
  const output = join(folder, "skipping");
  const message = await refused({ model: two, input: bad, output });
  assert.match(message, /^2 problems/);
  assert.match(
    message,
    /case PHANTOM_003: expected the modalities of one of student_t1 \(t1\), student_t2 \(t2\), got only flair/,
  );
  assert.match(message, /case PHANTOM_002: .*PHANTOM_002_t1.nii.gz/);
  assert.not(fs.existsSync(output));

  const { error } = console;
  const printed: string[] = [];
  console.error = (line: string) => void printed.push(line);
  try {
    const late = await refused({ model: two, input: bad, output, skipBad: true });
    assert.is(late, message, "the same at the end");
  } finally {
    console.error = error;
  }
  assert.is(printed.length, 2);
  assert.match(printed[0]!, /^skipped: case PHANTOM_003/);
  assert.ok(fs.existsSync(label(output, ids[0]!)));
  const { cases, skipped } = JSON.parse(fs.readFileSync(join(output, "predictions.json"), "utf8")) as {
    cases: CaseRecord[];
    skipped: string[];
  };
  assert.equal([cases.map((one) => one.case), skipped.sort()], [[ids[0]], [ids[1], ids[2]]]);
});

test("with one model the error names the modalities that a case lacks, and a remedy", async () => {
  assert.match(
    await refused({ model: join(run, "teacher") }),
    /case PHANTOM_002: expected t2, flair for teacher, got only t1, t1ce; --model with the folder of a run would take a student/,
  );
});

test("several checkpoints are averaged, each in the crop of its own modalities", async () => {
  const models = ["student_t1", "student_flair"].map((name) => join(run, name));
  const input = join(data, "PHANTOM_001");
  const written = async (model: string | string[]) => {
    const { output } = await predict({ model, input, saveProbabilities: true });
    assert.equal(
      [...(await findPredictions(output)).files.keys()],
      ["PHANTOM_001"],
      "evaluate ignores probabilities",
    );
    const found = await nifti(join(output, "PHANTOM_001_probabilities.nii.gz"));
    return { found, label: await nifti(label(output, "PHANTOM_001")), record: records(output)[0]! };
  };
  const [a, b, both] = [await written(models[0]!), await written(models[1]!), await written(models)];
  assert.is(both.record.model, "student_t1 + student_flair");
  assert.is(both.record.windows, a.record.windows! + b.record.windows!);
  assert.equal([both.found.channels, both.found.size], [4, [16, 16, 16]]);
  const voxels = 16 ** 3;
  for (const { found, label } of [a, b, both]) {
    for (let v = 0; v < voxels; v++) {
      const sum = [0, 1, 2, 3].reduce((total, c) => total + found.data[c * voxels + v]!, 0);
      if (Math.abs(sum - 1) > 1e-5) assert.is(sum, 1);
    }
    const values = [0, 4, 1, 2]; // of classes, in BraTS's convention
    assert.equal(
      [...label.data],
      [...likeliest(found.data, 4)].map((c) => values[c]),
    );
  }
  const off = both.found.data.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - (a.found.data[i]! + b.found.data[i]!) / 2)),
    0,
  );
  assert.ok(off < 1e-6);
  assert.not.equal(both.label.data, a.label.data);
});

test("--window, --step and --tta change the prediction, and are recorded", async () => {
  const input = join(data, "PHANTOM_003");
  const of = async (options: Partial<PredictOptions>) => {
    const { output } = await predict({ input, saveProbabilities: true, ...options });
    const [{ windows, step, mirror, checkpoints }] = records(output) as [CaseRecord];
    const { data: values } = await nifti(join(output, "PHANTOM_003_probabilities.nii.gz"));
    return { values, windows: windows!, recorded: [step, mirror, checkpoints[0]!.window] };
  };
  const plain = await of({});
  const [uniform, wide, mirrored] = [
    await of({ window: "uniform" }),
    await of({ step: 1 }),
    await of({ tta: true }),
  ];
  assert.equal(
    [plain.recorded, uniform.recorded, wide.recorded, mirrored.recorded],
    [
      [0.5, false, "gaussian"],
      [0.5, false, "uniform"],
      [1, false, "gaussian"],
      [0.5, true, "gaussian"],
    ],
  );
  assert.is(mirrored.windows, 8 * plain.windows);
  assert.ok(wide.windows < plain.windows);
  for (const { values } of [uniform, wide, mirrored]) assert.not.equal(values, plain.values);
});

test("--continue finishes an interrupted prediction; only --overwrite replaces existing files", async () => {
  const output = join(folder, "interrupted");
  const broken = await failure(() =>
    silenced(() =>
      predictFolder(() => Promise.reject(new Error("no power")), { model: run, input: data, output }),
    ),
  );
  assert.is(broken.message, "no power");
  assert.ok(
    records(output).every(({ seconds }) => seconds === null),
    "the plan is there",
  );
  const whole = await predict({ output });
  const before = ids.map((id) => fs.statSync(label(output, id)).mtimeMs);
  const reference = fs.readFileSync(label(output, ids[1]!));
  assert.match(
    await refused({ output }),
    /holds PHANTOM_001.nii.gz, .* already: keep them with --continue, choose another folder, or replace them with --overwrite$/,
  );
  fs.rmSync(label(output, ids[1]!));
  const { printed } = await predict({ output, continue: true });
  assert.ok(printed.includes("2 of 3 cases are predicted already"), printed.join("\n"));
  assert.equal(fs.readFileSync(label(output, ids[1]!)), reference);
  assert.equal(
    [0, 2].map((i) => fs.statSync(label(output, ids[i]!)).mtimeMs),
    [before[0], before[2]],
  );
  assert.equal(
    records(output).map(({ model }) => model),
    records(whole.output).map(({ model }) => model),
  );
  assert.ok(records(output).every(({ seconds }) => seconds! > 0));

  for (const [options, message] of [
    [
      { tta: true },
      /^--continue: PHANTOM_001.nii.gz was made differently: mirror false, now true: use the same again, or/,
    ],
    [{ with: "t1", input: join(data, ids[0]!) }, /made differently: model teacher, now student_t1:/],
    [{ window: "uniform" }, /: window gaussian, now uniform:/],
    [{ overwrite: true }, /^--continue: .* give only one of them$/],
  ] as const)
    assert.match(await refused({ output, continue: true, ...options }), message);
  fs.rmSync(join(output, "predictions.json"));
  assert.match(
    await refused({ output, continue: true }),
    /predictions.json does not record how PHANTOM_001.nii.gz was made/,
  );
  await predict({ output, overwrite: true, input: join(data, ids[0]!) });
  assert.not.equal(fs.statSync(label(output, ids[0]!)).mtimeMs, before[0]);
  const more = await predict({ output, input: join(data, ids[1]!), overwrite: true });
  assert.equal(
    records(more.output).map((one) => one.case),
    [ids[0], ids[1]],
    "records of other cases stay",
  );
});

test("the stage's post-processing is applied, unless --no-postprocessing skips it; a damaged file is named", async () => {
  const stage = join(folder, "cleaned", "student_flair");
  await storeStage(join(folder, "cleaned"), { name: "student_flair", modalities: ["flair"], seed: 4 });
  const rule = { ...NO_POSTPROCESSING, ET: { largest: false, piece: 0, total: 1e9 } };
  fs.writeFileSync(join(stage, FILES.postprocessing), JSON.stringify({ rule }));
  const options = { model: stage, input: join(data, "PHANTOM_003") };
  const [cleaned, plain] = [await predict(options), await predict({ ...options, postprocessing: false })];
  const values = async (output: string) => (await nifti(label(output, "PHANTOM_003"))).data;
  const before = await values(plain.output);
  assert.ok(before.includes(4), "there are voxels to remove");
  assert.equal(
    await values(cleaned.output),
    before.map((value) => (value === 4 ? 1 : value)),
  );
  assert.is(records(cleaned.output)[0]!.postprocessing, "ET: none below 1000000000 mm³ in all");
  assert.is(records(plain.output)[0]!.postprocessing, "none");
  fs.writeFileSync(
    join(stage, FILES.postprocessing),
    JSON.stringify({ rule: { ...rule, ET: { piece: -1 } } }),
  );
  assert.match(
    await refused(options),
    /postprocessing.json: expected the rule that train.js writes, .* --no-postprocessing$/,
  );
});

test.run();

function image(root: string, id: string, modality: Modality): string {
  return join(root, id, `${id}_${modality}.nii.gz`);
}

/** Predicts all of the data with the run, unless `options` differ; returns the printed lines. */
async function predict(options: Partial<PredictOptions>): Promise<{ output: string; printed: string[] }> {
  const { output = fs.mkdtempSync(join(folder, "predicted-")) } = options;
  const all = { model: run, input: data, ...options, output };
  return { output, printed: await predictQuietly(all) };
}

/** The message of the error that predicting ends with. */
async function refused(options: Partial<PredictOptions>): Promise<string> {
  return (await failure(() => predict(options))).message.replaceAll(folder, "");
}
