// predict --continue: which predictions are kept. predictions.json has the checksums of the files that each
// was made from.

import { createHash } from "node:crypto";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import type { PredictOptions } from "../../cli/predict.ts";
import type { CaseRecord } from "../../cli/prediction/predictionRecord.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { type Modality, MODALITIES } from "../../data/datasets/datasets.ts";
import { NO_POSTPROCESSING } from "../../model/inference/postprocess.ts";
import { label, predictQuietly, records } from "../support/predicting.ts";
import { storeStage } from "../support/storedRun.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "predict-again-"));
const [data, model] = [join(folder, "data"), join(folder, "run", "teacher")];
const [first, second] = ["PHANTOM_001", "PHANTOM_002"] as const;
const test = suite("predict again");

test.before(async () => {
  await makePhantom({ out: data, cases: 3, size: 16, seed: 5 });
  await storeStage(join(folder, "run"), { name: "teacher", modalities: [...MODALITIES], dice: 0.8 });
});
test.after(() => fs.rmSync(folder, { recursive: true }));

const image = (id: string, modality: Modality, root = data) => join(root, id, `${id}_${modality}.nii.gz`);
const predict = (options: Partial<PredictOptions> & { output: string }) =>
  predictQuietly({ model, input: data, ...options });
const resume = async (output: string, more: Partial<PredictOptions> = {}) =>
  (await predict({ output, continue: true, ...more })).join("\n").replaceAll(folder, "");

/** A folder of predictions of the whole data set. */
async function predicted(): Promise<string> {
  const output = fs.mkdtempSync(join(folder, "predictions-"));
  await predict({ output });
  return output;
}

/** Changes the record of the first case. */
function rewrite(output: string, change: (record: CaseRecord) => void): void {
  const path = join(output, "predictions.json");
  const found = JSON.parse(fs.readFileSync(path, "utf8")) as { cases: CaseRecord[] };
  change(found.cases[0]!);
  fs.writeFileSync(path, JSON.stringify(found));
}

test("the record has the checksum of each contrast's file", async () => {
  for (const { case: id, inputs } of records(await predicted())) {
    const expected = MODALITIES.map((modality) => {
      const bytes = fs.readFileSync(image(id, modality));
      return [modality, createHash("sha256").update(bytes).digest("hex")];
    });
    assert.equal(inputs, Object.fromEntries(expected));
  }
});

test("a case whose input changed is predicted again, by name; the others are kept", async () => {
  const output = await predicted();
  const input = join(folder, "changed");
  fs.cpSync(data, input, { recursive: true });
  const kept = fs.statSync(label(output, second)).mtimeMs;
  for (const modality of MODALITIES)
    fs.copyFileSync(image("PHANTOM_003", modality), image(first, modality, input));
  const before = fs.readFileSync(label(output, first));
  const said = await resume(output, { input });
  assert.match(
    said,
    /predicted again, because their input changed since: PHANTOM_001 \(t1, t2, t1ce, flair\)$/m,
  );
  assert.match(said, /^2 of 3 cases are predicted already$/m);
  assert.not(fs.readFileSync(label(output, first)).equals(before));
  assert.ok(fs.readFileSync(label(output, first)).equals(fs.readFileSync(label(output, "PHANTOM_003"))));
  assert.is(fs.statSync(label(output, second)).mtimeMs, kept);
  assert.match(await resume(output, { input }), /^3 of 3 cases are predicted already$/m);
  fs.rmSync(join(input, first), { recursive: true });
  await resume(output, { input });
  assert.equal(
    records(output).map((one) => one.case),
    [first, second, "PHANTOM_003"],
    "the record of a case that vanished stays",
  );
});

test("a label that is older than its record is not taken for its prediction", async () => {
  const output = await predicted();
  const expected = fs.readFileSync(label(output, first));
  fs.copyFileSync(label(output, second), label(output, first));
  rewrite(output, (record) => {
    delete record.inputs;
    record.seconds = record.windows = null; // as when a prediction with --overwrite was interrupted
  });
  assert.match(await resume(output), /^2 of 3 cases are predicted already$/m);
  assert.ok(fs.readFileSync(label(output, first)).equals(expected));
});

test("a prediction of an older version is kept, and the user reads that its input is unknown", async () => {
  const output = await predicted();
  rewrite(output, (record) => delete record.inputs);
  const said = await resume(output);
  assert.match(
    said,
    /did not record whether their input is the same: PHANTOM_001: to be sure, predict them in/,
  );
  assert.match(said, /^3 of 3 cases are predicted already$/m);
});

test("the same model in a folder of another name is the same model", async () => {
  const output = await predicted();
  fs.cpSync(model, join(folder, "renamed"), { recursive: true });
  assert.match(await resume(output, { model: join(folder, "renamed") }), /^3 of 3 cases are predicted/m);
});

test("a post-processing that was chosen for another checkpoint is not applied", async () => {
  const stage = join(folder, "processed");
  fs.cpSync(model, stage, { recursive: true });
  const rule = { ...NO_POSTPROCESSING, ET: { largest: false, piece: 0, total: 1e9 } };
  const written = (checkpoint: string) =>
    fs.writeFileSync(join(stage, FILES.postprocessing), JSON.stringify({ rule, checkpoint }));
  const applied = async () => {
    const output = fs.mkdtempSync(join(folder, "predictions-"));
    const said = (await predict({ model: stage, output })).join("\n");
    return [/for another checkpoint than .*: not applied/.test(said), records(output)[0]!.postprocessing];
  };
  written("0");
  assert.equal(await applied(), [true, "none"]);
  const best = fs.readFileSync(join(stage, FILES.best));
  written(createHash("sha256").update(best).digest("hex"));
  assert.equal(await applied(), [false, "ET: none below 1000000000 mm³ in all"]);
});

test.run();
