// A short training learns to translate a little: on the phantom, which has the true contrast, an error below
// that of no translation. T1 and T2 are the contrasts that differ most there.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { readTranslations } from "../../cli/prediction/translationFiles.ts";
import { silenced, trainQuietly } from "../support/quietly.ts";

const folder = mkdtempSync(join(tmpdir(), "translated-"));
const [data, out] = [join(folder, "data"), join(folder, "run")];
const test = suite("translated");
test.after(() => rmSync(folder, { recursive: true }));

test("UAGAN: the error of the translation is below that of no translation", async () => {
  await silenced(() => makePhantom({ out: data, cases: 6, size: 24, seed: 5 }));
  await trainQuietly({
    data,
    out,
    stage: "student",
    method: "uagan",
    modality: "t1+t2",
    filters: 8,
    levels: 3,
    patch: "16",
    batch: 1,
    augment: "none",
    lr: 3e-3,
    adversarialWeight: 1,
    cycleWeight: 1,
    shapeWeight: 0,
    epochs: 40,
    validateEvery: 40,
  });
  const { mean } = (await readTranslations(join(out, "student_each-t1+t2_uagan")))!;
  const text = JSON.stringify(mean);
  for (const { translation, source } of mean) assert.ok(translation.error < 0.98 * source.error, text);
  const correlation = (of: "translation" | "source") =>
    mean.reduce((sum, one) => sum + one[of].correlation, 0);
  assert.ok(correlation("translation") > correlation("source") + 0.1, text); // one grey has less error, too
});

test.run();
