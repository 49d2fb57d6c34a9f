// The page's words for errors.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset } from "../../data/datasets/datasets.ts";
import { toClasses } from "../../data/datasets/labels.ts";
import { recognise } from "../../web/segment/cases.ts";
import { ownData } from "../../web/train/ownData.ts";
import { explain } from "../../web/ui/explain.ts";
import { problemsOf, sourceOf } from "../support/fixtures.ts";

test("a message about labels names no flag of the command line", async () => {
  const files = sourceOf({ "a/a_t1.nii.gz": "", "b/b-t1n.nii.gz": "" });
  const values = Float32Array.of(0, 3);
  for (const run of [() => openDataset(files), () => toClasses(values, "brats", "a_seg.nii")]) {
    const message = (await problemsOf(run))[0]!;
    assert.match(message, /use --labels/);
    const { detail } = explain(Object.assign(new Error(message), { name: "DataError" }));
    assert.not.match(detail, /--labels/);
  }
});

test("names that do not show what labels mean are a question, without which no training begins", async () => {
  const of = (...paths: string[]) => recognise(sourceOf(Object.fromEntries(paths.map((path) => [path, ""]))));
  const id = "BraTS-PED-00001-000";
  const asked = [
    await of(`${id}/${id}-t1n.nii.gz`, `${id}/${id}-seg.nii.gz`),
    await of("patient one T1.nii.gz", "patient one seg.nii.gz"),
  ];
  for (const recognised of asked) {
    assert.is(recognised.convention, null);
    assert.match(
      recognised.note!,
      /The names do not show how labels are numbered: choose their meaning below/,
    );
    const own = { name: "data", files: [], recognised };
    assert.match(
      (await problemsOf(() => ownData(own)))[0]!,
      /^labels: expected one meaning, .*: choose it below$/,
    );
    recognised.convention = "brats2024-ped";
    assert.is(ownData(own).convention, "brats2024-ped");
  }
  assert.is((await of("a/a-t1n.nii.gz", "a/a-seg.nii.gz")).convention, "brats2023");
  assert.is((await of("patient one T1.nii.gz")).convention, "brats", "without labels, for what is written");
});

test.run();
