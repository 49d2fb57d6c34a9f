// Translations of UAGAN beside the true contrasts, which a phantom has, and how their likeness is measured.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { likeness } from "../../trainer/stages/translation.ts";

const folder = mkdtempSync(join(tmpdir(), "translation-"));
const test = suite("translation");
test.after(() => rmSync(folder, { recursive: true }));

test("likeness: error and correlation over the voxels that are in both contrasts", () => {
  const source = Float32Array.of(0, 1, 2, 3, 4);
  const truth = Float32Array.of(5, 0, 4, 6, 8);
  assert.equal(likeness(Float32Array.of(9, 9, 2, 3, 4), truth, source), { error: 3, correlation: 1 });
  assert.equal(likeness(Float32Array.of(9, 9, 8, 6, 4), truth, source), { error: 8 / 3, correlation: -1 });
  assert.equal(likeness(new Float32Array(5), truth, source), { error: 6, correlation: 0 });
});

test.run();
