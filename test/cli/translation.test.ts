// predict.js --translate: a UAGAN stage writes each case in another contrast, in the grid of its source, and
// every other network is refused.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { predictFolder, type PredictOptions } from "../../cli/predict.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { device } from "../support/gradcheck.ts";
import { writeSplitOfFour } from "../support/heldOut.ts";
import { failure, silenced } from "../support/quietly.ts";
import { TINY, trainStageOf } from "../support/tinyStages.ts";

const folder = mkdtempSync(join(tmpdir(), "translation-"));
const [data, out] = [join(folder, "data"), join(folder, "run")];
const STAGE = join(out, "student_each-t1ce+flair_uagan");
const test = suite("translation");

test.before(async () => {
  await silenced(() => makePhantom({ out: data, cases: 4, size: 20, seed: 5 }));
  writeSplitOfFour(join(data, "split.json"), 4);
  await trainStageOf({
    ...TINY,
    data,
    out,
    stage: "student",
    method: "uagan",
    modality: "flair+t1ce",
    epochs: 1,
  });
});
test.after(() => rmSync(folder, { recursive: true }));

const output = join(folder, "images");
const translate = (more: Partial<PredictOptions> = {}) =>
  predictFolder(() => Promise.resolve(device), {
    model: STAGE,
    input: data,
    output,
    translate: "flair",
    ...more,
  });
const refused = async (more: Partial<PredictOptions>) => (await failure(() => translate(more))).message;
const volume = (path: string) => readNifti(readFileSync(path), path);

test("each case is written in the other contrast, in the grid of its source", async () => {
  const said = (await silenced(() => translate())).join("\n");
  assert.match(said, /4 cases translated into flair/);
  const names = readdirSync(output).sort();
  assert.is(names.length, 4);
  for (const name of names) {
    const id = name.replace("_flair_from_t1ce.nii.gz", "");
    const made = await volume(join(output, name));
    const [source] = readdirSync(join(data, id)).filter((file) => /t1ce/.test(file));
    const seen = await volume(join(data, id, source!));
    assert.equal([made.size, made.affine, made.channels], [seen.size, seen.affine, 1]);
    assert.ok(made.data.every(Number.isFinite));
    const brain = made.data.filter((_, i) => seen.data[i] !== 0);
    assert.ok(new Set(brain).size > brain.length / 2, "an image, not a constant");
    assert.ok(
      made.data.every((value, i) => seen.data[i] !== 0 || value === 0),
      "0 outside of the brain",
    );
  }
  const first = join(output, names[0]!);
  const before = readFileSync(first);
  await silenced(() => translate({ overwrite: true }));
  assert.equal(readFileSync(first), before, "the same bytes again");
});

test("the contrast to translate into has kernels of its own", async () => {
  const other = join(folder, "t1ce");
  await silenced(() => translate({ translate: "t1ce", output: other }));
  const name = readdirSync(other).sort()[0]!;
  assert.match(name, /_t1ce_from_flair\.nii\.gz$/);
});

test("a network without a translation, and options of label maps, are refused", async () => {
  assert.match(
    await refused({ model: join(out, "student_t1ce_uagan") }),
    /student_t1ce_uagan.*: holds no network that translates contrasts: use the stage .* RUN\/student_each_uagan$/,
  );
  assert.match(
    await refused({ translate: "t2" }),
    /: translates into t1ce, flair, not into t2: choose one of these$/,
  );
  assert.match(await refused({}), /images: already has .*: replace them with --overwrite$/);
  assert.match(
    await refused({ with: "flair" }),
    /expected a contrast that the network takes \(allow more with --with\) to translate into flair, got only /,
  );
  assert.match(await refused({ saveProbabilities: true }), /^--save-probabilities: goes with label maps/);
  assert.match(await refused({ model: [STAGE, STAGE] }), /^--translate: expected one --model/);
});

test.run();
