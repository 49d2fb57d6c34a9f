// The label convention of predictions and references in evaluate.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { evaluateFolders } from "../../cli/prediction/evaluation.ts";
import { CONVENTION_NAMES, fittingConventions, type LabelConvention } from "../../data/datasets/labels.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { problemsOf } from "../support/fixtures.ts";
import { writeMap, writeRecord } from "../support/labelMaps.ts";
import { failure } from "../support/quietly.ts";

const test = suite<{ root: string; predictions: string; references: string }>("evaluate labels");

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), "evaluate-labels-"));
  context.predictions = join(context.root, "predictions");
  context.references = join(context.root, "references");
});
test.after.each(({ root }) => rmSync(root, { recursive: true }));

test("predictions.json, the data set and --labels must agree on the label convention", async (context) => {
  const { root, predictions, references } = context;
  await writeMap(join(predictions, "a.nii.gz"), [0, 1, 2, 3, 3, 0]);
  await writeMap(join(references, "imagesTr/a_0000.nii.gz"));
  await writeMap(join(references, "labelsTr/a.nii.gz"), [0, 0, 1, 2, 3, 0]);
  const labels = { background: 0, oedema: 1, "necrotic core": 2, "enhancing tumour": 3 };
  const description = { channel_names: { 0: "T1" }, labels };
  writeFileSync(join(references, "dataset.json"), JSON.stringify(description));
  const evaluated = async (given?: LabelConvention) => {
    const notes: string[] = [];
    await evaluateFolders({ predictions, references, labels: given, note: (line) => void notes.push(line) });
    return notes.join("\n");
  };
  const refused = async (given?: LabelConvention) => {
    const error = await failure(() => evaluated(given));
    assert.instance(error, UsageError);
    return error.message;
  };
  assert.match(await evaluated(), /labels read as msd: the references \(dataset\.json names the labels/);
  assert.match(
    await refused("brats2023"),
    /got brats2023 by --labels and msd by the references \(dataset\.json/,
  );
  writeRecord(predictions, { a: { labels: "msd" } });
  assert.match(await evaluated("msd"), /labels read as msd: predictions\.json \(case a\) and --labels and/);
  assert.match(
    await refused("brats2023"),
    /got msd by predictions\.json \(case a\) and brats2023 by --labels/,
  );
  writeRecord(predictions, { a: { labels: "brats2023" } });
  assert.match(await refused(), /got brats2023 by predictions\.json \(case a\) and msd by the references/);
  // Names of images are a weaker sign than dataset.json: as in training, --labels overrules them.
  context.references = join(root, "named");
  await writeMap(join(context.references, "a/a_t1.nii.gz"));
  await writeMap(join(context.references, "a/a_seg.nii.gz"), [0, 0, 1, 2, 3, 0]);
  const named = { predictions, references: context.references };
  const contrary = await failure(() => evaluateFolders(named));
  assert.match(
    contrary.message,
    /brats by the references \(BraTS .*if the names mislead, use --labels brats2023/,
  );
  const warned: string[] = [];
  const note = (line: string, kind?: string) => void (kind === "warning" && warned.push(line));
  await evaluateFolders({ ...named, labels: "brats2023", note });
  assert.match(warned.join(), /^labels are read as brats2023 by --labels, though the references tell brats/);
});

test("brats2023 and brats2024-gli agree, since they number alike but for the cavity", async (context) => {
  const { predictions, references } = context;
  const id = "BraTS-GLI-00005-101";
  await writeMap(join(predictions, `${id}.nii.gz`), [0, 1, 2, 3, 3, 0]);
  await writeMap(join(references, id, `${id}-t1n.nii.gz`));
  await writeMap(join(references, id, `${id}-seg.nii.gz`), [0, 0, 1, 2, 3, 4]);
  writeRecord(predictions, { [id]: { labels: "brats2023" } });
  const notes: string[] = [];
  await evaluateFolders({ predictions, references, note: (line) => void notes.push(line) });
  assert.match(notes.join("\n"), /^labels read as brats2024-gli: predictions\.json .* and the references/m);
});

test("where nothing tells the convention the values decide, if only one fits, and --labels otherwise", async (context) => {
  const { root } = context;
  const evaluated = async (id: string, one: number[], other: number[]) => {
    const [predictions, references] = [join(root, id, "predictions"), join(root, id, "references")];
    await writeMap(join(predictions, `${id}.nii.gz`), one);
    await writeMap(join(references, `${id}.nii.gz`), other);
    const notes: string[] = [];
    await evaluateFolders({ predictions, references, note: (line) => void notes.push(line) });
    return notes.join("\n");
  };
  // In BraTS' glioma data since 2023, 4 is the cavity of 2024: the file names rule out the other meanings.
  const decided = await evaluated("BraTS-GLI-00005-101", [0, 4], [0, 0, 1, 2]);
  assert.match(decided, /labels read as brats2024-gli: the only one with the values 0, 1, 2 and 4/);
  for (const [one, other] of [
    [
      [0, 4],
      [0, 0, 1, 2],
    ],
    [
      [0, 3],
      [0, 0, 1, 2],
    ],
    [
      [0, 1],
      [0, 0, 1, 2],
    ],
  ] as const) {
    const error = await failure(() => evaluated("a", [...one], [...other]));
    assert.instance(error, UsageError);
    assert.equal(
      Array.from(error.message.matchAll(/--labels (\S+)/g), ([, name]) => name),
      fittingConventions([...one, ...other]),
    );
  }
  const [heading, ...reasons] = await problemsOf(() => evaluated("a", [0, 7], [0, 1]));
  assert.match(heading!, /expected label maps of one convention, got the values 0, 1 and 7/);
  assert.is(reasons.length, CONVENTION_NAMES.length);
  assert.match(reasons[0]!, /^not brats: .*predictions\/a\.nii\.gz has 7$/);
});

test.run();
