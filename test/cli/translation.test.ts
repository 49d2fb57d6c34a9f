// predict.js --translate: a UAGAN stage writes each case in another contrast, in the grid of its source, and
// every other network is refused.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { predictFolder, type PredictOptions } from "../../cli/predict.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import {
  type CaseTranslation,
  readTranslations,
  TRANSLATIONS,
} from "../../cli/prediction/translationFiles.ts";
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
const scan = (contrast: string) => join(data, "PHANTOM_004", `PHANTOM_004_${contrast}.nii.gz`);
const volume = (path: string) => readNifti(readFileSync(path), path);

/** An image with mean 0 and deviation 1 over the voxels that are not 0. */
function scaled(image: ArrayLike<number>): number[] {
  const brain = Array.from(image).filter((value) => value !== 0);
  const mean = brain.reduce((sum, value) => sum + value, 0) / brain.length;
  const square = brain.reduce((sum, value) => sum + (value - mean) ** 2, 0) / brain.length;
  return Array.from(image, (value) => (value === 0 ? 0 : (value - mean) / Math.sqrt(square)));
}

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

test("the test case is scored in both directions, beside its sources as they stand", async () => {
  const { mean, cases } = (await readTranslations(STAGE))!;
  const directions = cases.map(({ case: id, from, into }) => [id, from, into]);
  assert.equal(directions, [
    ["PHANTOM_004", "t1ce", "flair"],
    ["PHANTOM_004", "flair", "t1ce"],
  ]);
  assert.is(mean[0]!.cases, 1);
  assert.equal([mean[0]!.translation, mean[0]!.source], [cases[0]!.translation, cases[0]!.source]);
  const name = "PHANTOM_004_flair_from_t1ce.nii.gz";
  const kept = join(STAGE, TRANSLATIONS.images, name);
  assert.equal(readFileSync(kept), readFileSync(join(output, name)), "as predict.js translates it");
  const [made, scanned, seen] = await Promise.all([kept, scan("flair"), scan("t1ce")].map(volume));
  const [truth, source] = [scaled(scanned!.data), scaled(seen!.data)];
  const error = (image: Float32Array) => {
    const brain = truth.flatMap((value, i) => (value === 0 ? [] : [Math.abs(image[i]! - value)]));
    return brain.reduce((sum, value) => sum + value, 0) / brain.length;
  };
  const { translation, source: untranslated } = cases[0]!;
  assert.ok(Math.abs(error(made!.data) - translation.error) < 1e-3);
  assert.ok(Math.abs(error(Float32Array.from(source)) - untranslated.error) < 1e-3);
  const [head, ...rows] = readFileSync(join(STAGE, TRANSLATIONS.csv), "utf8").trim().split("\n");
  assert.is(head, "case,from,into,translation_error,translation_correlation,source_error,source_correlation");
  assert.ok(rows[0]!.startsWith(`PHANTOM_004,t1ce,flair,${translation.error},${translation.correlation},`));
});

test("the stage's report shows each translation beside the true contrast, and their errors", async () => {
  const page = readFileSync(join(STAGE, FILES.report), "utf8");
  const { cases } = (await readTranslations(STAGE))!;
  const [{ translation, source }] = cases as [CaseTranslation];
  const error = `error ${translation.error.toFixed(3)}, without translation ${source.error.toFixed(3)}`;
  assert.ok(page.includes(`FLAIR, translated from T1ce: ${error}`));
  const section = /<h2>Translations of the test cases<\/h2>[^]*?<\/section>/.exec(page)![0];
  assert.is(section.match(/<img /g)!.length, 6);
  for (const name of ["T1ce, as scanned", "FLAIR, as scanned", "T1ce into FLAIR", "FLAIR into T1ce"])
    assert.ok(section.includes(name), name);
  const plain = readFileSync(join(out, "student_t1ce_uagan", FILES.report), "utf8");
  assert.not.match(plain, /Translations/);
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
