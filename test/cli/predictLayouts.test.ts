// predict.js on the folders of nnU-Net, and on names that BraTS does not use.

import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { predictQuietly, records } from "../support/predicting.ts";
import { failure } from "../support/quietly.ts";
import { storeStage } from "../support/storedRun.ts";

const test = suite("predict layouts");
const folder = fs.mkdtempSync(join(tmpdir(), "predict-layouts-"));
const run = join(folder, "run");
const phantom = join(folder, "phantom");
/** The names of the phantom's contrasts in each place of a channel. */
const ORDER = ["flair", "t1", "t1ce", "t2"];

test.before(async () => {
  await makePhantom({ out: phantom, cases: 2, size: 16, seed: 5 });
  await storeStage(run, { name: "teacher", modalities: [...MODALITIES], dice: 0.8 });
  await storeStage(run, { name: "student_flair", modalities: ["flair"], dice: 0.4, seed: 4 });
  for (const [id, set] of [
    ["PHANTOM_001", "Tr"],
    ["PHANTOM_002", "Ts"],
  ] as const) {
    for (const [channel, name] of ORDER.entries())
      copy(`${id}/${id}_${name}`, `nnunet/images${set}/${id}_000${channel}`);
    for (const [name, spelling] of [
      ["flair", "FLAIR"],
      ["t1", "T1w"],
      ["t1ce", "ce-gd_T1w"],
      ["t2", "T2w"],
    ] as const)
      copy(`${id}/${id}_${name}`, `bids/sub-${id.slice(-1)}/anat/sub-${id.slice(-1)}_${spelling}`);
  }
  const channels = Object.fromEntries(ORDER.entries());
  const labels = { background: 0, oedema: 1, "necrotic core": 2, "enhancing tumour": 3 };
  fs.writeFileSync(join(folder, "nnunet/dataset.json"), JSON.stringify({ channel_names: channels, labels }));
});
test.after(() => fs.rmSync(folder, { recursive: true }));

test("a data set's new cases are predicted too, and alone from imagesTs, to the same bytes", async () => {
  const [all, alone] = [await predict("nnunet"), await predict("nnunet/imagesTs")];
  assert.ok(
    all.printed.includes(
      "the cases are 1 of imagesTr and 1 new ones of imagesTs: --input nnunet/imagesTs predicts the new ones alone",
    ),
    all.printed.join("\n"),
  );
  assert.equal(summary(all.output), ["PHANTOM_001 teacher msd", "PHANTOM_002 teacher msd"]);
  assert.equal(summary(alone.output), ["PHANTOM_002 teacher msd"]);
  const bytes = (output: string) => fs.readFileSync(join(output, "PHANTOM_002.nii.gz"));
  assert.equal(bytes(all.output), bytes(alone.output));
});

test("without a dataset.json the model's order of channels is used, with a warning", async () => {
  fs.cpSync(join(folder, "nnunet/imagesTs"), join(folder, "alone"), { recursive: true });
  const { printed, output } = await predict("alone");
  assert.ok(
    printed.some((line) =>
      /no dataset\.json .* 0000 is t1, 0001 is t2, 0002 is t1ce, 0003 is flair$/.test(line),
    ),
  );
  assert.equal(summary(output), ["PHANTOM_002 teacher brats"]);
  fs.rmSync(join(folder, "alone/PHANTOM_002_0003.nii.gz"));
  const { message } = await failure(() => predict("alone"));
  assert.match(message, /expected a dataset\.json that names the channels, got PHANTOM_002_0000/);
});

test("BIDS names give all four contrasts; a file that no case claims is named", async () => {
  copy("PHANTOM_001/PHANTOM_001_t1", "bids/sub-1/anat/sub-1_PDw");
  const { printed, output } = await predict("bids");
  assert.equal(summary(output), ["sub-1 teacher brats", "sub-2 teacher brats"]);
  assert.match(printed.join("\n"), /sub-1\/anat\/sub-1_PDw\.nii\.gz: belongs to no case and is ignored/);
  assert.ok(printed.includes("labels written: brats, as in the model's training"), printed.join("\n"));
});

test.run();

function copy(from: string, to: string): void {
  fs.cpSync(join(phantom, `${from}.nii.gz`), join(folder, `${to}.nii.gz`));
}

async function predict(input: string): Promise<{ output: string; printed: string[] }> {
  const output = fs.mkdtempSync(join(folder, "predicted-"));
  return { output, printed: await predictQuietly({ model: run, input: join(folder, input), output }) };
}

/** Each predicted case, its model and convention. */
function summary(output: string): string[] {
  return records(output).map((one) => `${one.case} ${one.model} ${one.labels}`);
}
