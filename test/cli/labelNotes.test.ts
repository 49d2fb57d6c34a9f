// Labels without a class of their own, as the model card, the report and evaluate treat them.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { evaluateFolders } from "../../cli/prediction/evaluation.ts";
import { modelCard } from "../../cli/report/modelCard.ts";
import { labelNotes } from "../../cli/report/stageResults.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import { writeNifti } from "../../data/nifti/nifti.ts";
import { DEFAULTS, type TrainConfig } from "../../trainer/settings/config.ts";
import { IDENTITY } from "../support/fixtures.ts";

const test = suite<{ root: string }>("labelNotes");
test.before.each((context) => void (context.root = mkdtempSync(join(tmpdir(), "labels-"))));
test.after.each(({ root }) => rmSync(root, { recursive: true }));

const CAVITY = "label 4 (resection cavity) counts as background";
const config = (out: string) =>
  ({ ...DEFAULTS, stage: "teacher", method: "none", modality: null, data: "data", out }) as TrainConfig;

test("the model card and the report say what has no class of its own", async ({ root }) => {
  const split = { train: ["a"], val: ["b"], test: [], layout: "brats" };
  const card = (labels: LabelConvention) =>
    modelCard(config(root), { title: "teacher", folder: "teacher", metrics: [] }, { ...split, labels });
  assert.ok(card("brats2024-gli").includes(`labels: brats2024-gli). In them, ${CAVITY}.`));
  assert.not.ok(card("brats2023").includes("counts as"));

  const notes = (labels: LabelConvention) => {
    mkdirSync(join(root, "teacher"), { recursive: true });
    writeFileSync(join(root, "teacher/split.json"), JSON.stringify({ ...split, labels }));
    return labelNotes([config(root), config(root)]);
  };
  assert.equal(await notes("brats2024-gli"), [`In brats2024-gli, ${CAVITY}.`]);
  assert.is((await notes("brats2024-ped")).length, 2);
  assert.equal(await notes("msd"), []);
});

test("the card of a network that takes any of its contrasts names them, and the input channels", ({
  root,
}) => {
  const split = { train: ["a"], val: ["b"], test: [], layout: "brats", labels: "brats" as const };
  const card = (modality: string | null) =>
    modelCard(
      { ...config(root), stage: modality === null ? "teacher" : "student", modality },
      { title: "", folder: "", metrics: [] },
      split,
    );
  const any = card("any:t1ce+flair");
  assert.match(any, /Its input is any of t1ce, flair; it marks/);
  assert.match(any, /Its only inputs are t1ce, flair: .* In a case that lacks some of them, it cannot find/);
  assert.match(
    any,
    /^Input channels: t1ce, flair, has t1ce, has flair\. It takes any of its contrasts: a chan/m,
  );
  assert.match(card("any"), /Its input is any of t1, t2, t1ce, flair; /);
  assert.not.match(card("any"), /Its only inputs/);
  const fixed = card("t1ce+flair");
  assert.match(fixed, /Its input is t1ce, flair; /);
  assert.match(fixed, /^Input channels: t1ce, flair, in this order\. Classes:/m);
});

test("evaluate maps predictions and references alike", async ({ root }) => {
  const write = async (path: string, values: number[]) => {
    mkdirSync(join(root, path, ".."), { recursive: true });
    const data = Uint8Array.from(values);
    writeFileSync(
      join(root, path),
      await writeNifti({ data, size: [1, 1, values.length], affine: IDENTITY }),
    );
  };
  const folders = { predictions: join(root, "predictions"), references: join(root, "references") };
  for (const [labels, truth, found] of [
    ["brats2024-gli", [0, 1, 2, 3, 4], [0, 1, 2, 3, 0]],
    ["brats2024-ped", [0, 1, 2, 3, 4], [0, 1, 2, 2, 4]],
  ] as const) {
    await write("references/a.nii.gz", [...truth]);
    await write("predictions/a.nii.gz", [...found]);
    const { mean } = await evaluateFolders({ ...folders, labels });
    assert.equal([mean.WT.Dice, mean.TC.Dice, mean.ET.Dice], [1, 1, 1], labels);
  }
});

test.run();
