// The page's words for errors.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset } from "../../data/datasets/datasets.ts";
import { toClasses } from "../../data/datasets/labels.ts";
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

test.run();
