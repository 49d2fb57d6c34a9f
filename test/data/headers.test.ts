// Numbers in headers that are wrong or unusual: an affine that differs from the case's other files, lengths
// in other units than millimetres, and voxel sizes that no head has.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { evaluateFolders } from "../../cli/prediction/evaluation.ts";
import { checkCases, type PlannedCase } from "../../cli/prediction/predictionPlan.ts";
import { allFindings, checkDataset } from "../../data/check/check.ts";
import { type Dataset, openDataset } from "../../data/datasets/datasets.ts";
import { readNifti, writeLabelLike } from "../../data/nifti/nifti.ts";
import type { AffineChoice } from "../../data/preparation/grids.ts";
import type { CaseReport } from "../../data/check/checkCase.ts";
import { loadCase } from "../../data/check/loadCase.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import { NO_POSTPROCESSING, usesMillimetres } from "../../model/inference/postprocess.ts";
import { differences } from "../../trainer/settings/config.ts";
import type { TrainConfig } from "../../trainer/settings/settings.ts";
import { IDENTITY, problemsOf, sourceOf, volumeFile } from "../support/fixtures.ts";

const test = suite("headers");

const LPS = [[-1, 0, 0, 0], [0, -1, 0, 0], ...IDENTITY.slice(2)];
const scaled = (by: number) => LPS.map((row, i) => (i < 3 ? row.map((value) => value * by) : row));
const image = (affine = LPS) => volumeFile([4, 5, 6], (z, y) => (z && y ? z + y : 0), affine);
const other = (affine = LPS) => volumeFile([4, 5, 6], (z, y) => (z && y ? z * y : 0), affine);
const label = (affine = LPS) => volumeFile([4, 5, 6], (z, y) => (z && y ? z % 3 : 0), affine);

/** A file with another unit in its header: 1 for metres, 2 for millimetres, 3 for micrometres. */
function inUnit(file: Uint8Array, unit: number): Uint8Array {
  const bytes = new Uint8Array(gunzipSync(file));
  bytes[123] = unit | 8; // and seconds
  return bytes;
}

const caseOf = (t1: Uint8Array, t2: Uint8Array, seg: Uint8Array) =>
  sourceOf({ "a/a_t1.nii.gz": t1, "a/a_t2.nii.gz": t2, "a/a_seg.nii.gz": seg });
type Source = ReturnType<typeof caseOf>;

/** Loads the case as training does; returns it with the check's warnings. */
async function load(
  source: Source,
  options: { affine?: AffineChoice } = {},
): Promise<Case & { warnings: string[] }> {
  const dataset: Dataset = await openDataset(source);
  const warnings: string[] = [];
  const checked = (report: CaseReport) => void warnings.push(...report.warnings);
  const all = { labels: true, checked, ...options };
  return { ...(await loadCase(source, dataset, dataset.cases[0]!, ["t1", "t2"], all)), warnings };
}

async function check(source: Source, affine: AffineChoice = "file") {
  const options = { modalities: ["t1", "t2"], labels: true, patch: [3, 4, 6], affine } as const;
  const report = await checkDataset(source, options);
  return [allFindings(report, "problems"), allFindings(report, "warnings")] as const;
}

test("a file that differs in its affine alone is refused with both remedies, and taken by --affine image", async () => {
  const rounded = LPS.map((row, i) => (i === 0 ? [-1, 0, 0, 0.02] : row));
  for (const [affine, apart] of [
    [IDENTITY, "12\\.81"],
    [rounded, "0\\.02"],
  ] as const) {
    const source = caseOf(await image(), await other(affine), await label(affine));
    const expected = (what: string) =>
      new RegExp(
        `^case a: ${what} \\(.*\\): expected the affine of t1 \\(a/a_t1.nii.gz\\), .* by ${apart} mm: the shapes agree, ` +
          "so perhaps only its header is wrong: .* copy the header of t1 .* use --affine image, .*; if not, register",
      );
    const problems = await problemsOf(() => load(source));
    const [found] = await check(source);
    for (const lines of [problems, found.filter((line) => line.includes("affine"))]) {
      assert.is(lines.length, 2);
      assert.match(lines[0]!, expected("t2"));
      assert.match(lines[1]!, expected("label"));
    }
    const loaded = await load(source, { affine: "image" });
    const sound = await load(caseOf(await image(), await other(), await label()));
    assert.equal([loaded.images, loaded.label, loaded.source], [sound.images, sound.label, sound.source]);
    const taken = new RegExp(
      `^case a: label .*: takes the affine of t1 .* its own moves a corner by ${apart} mm$`,
    );
    assert.equal(loaded.warnings.filter((line) => line.includes("takes the affine")).length, 2);
    assert.ok(loaded.warnings.some((line) => taken.test(line)));
    assert.not.ok(sound.warnings.some((line) => line.includes("affine")));
    const [none, warnings] = await check(source, "image");
    assert.equal(
      none.filter((line) => line.includes("affine")),
      [],
    );
    assert.ok(
      warnings.some((line) => taken.test(line)),
      warnings.join("\n"),
    );
  }
  const longer = await volumeFile([4, 5, 7], (z) => z, LPS);
  const uneven = caseOf(await image(), longer, await label());
  assert.match(
    (await problemsOf(() => load(uneven, { affine: "image" })))[0]!,
    /expected one shape, got t1 .* 6x5x4, t2 .* 7x5x4/,
  );
});

test("evaluate: a prediction may take its reference's affine", async () => {
  const folder = mkdtempSync(join(tmpdir(), "headers-"));
  const write = (path: string, file: Uint8Array) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), file);
  };
  write("references/a.nii.gz", await label());
  write("predictions/a.nii.gz", await label(IDENTITY));
  const [predictions, references] = [join(folder, "predictions"), join(folder, "references")];
  const both = { predictions, references, labels: "brats" as const };
  const [problem] = await problemsOf(() => evaluateFolders(both));
  assert.match(
    problem!,
    /12\.81 mm away: the shapes agree, .* use --affine image, .* write predictions in the grid/,
  );
  const notes: string[] = [];
  const { mean } = await evaluateFolders({ ...both, affine: "image", note: (line) => notes.push(line) });
  assert.is(mean.WT.Dice, 1);
  assert.match(
    notes.join("\n"),
    /^\S+a\.nii\.gz: takes the affine of \S+a\.nii\.gz in place of its own, which puts/m,
  );

  rmSync(join(folder, "predictions/a.nii.gz"));
  write("predictions/a.nii", gunzipSync(await label(scaled(0.001)))); // a copy would be refused as one
  write("references/a.nii.gz", await label(scaled(0.001)));
  assert.match(
    (await problemsOf(() => evaluateFolders(both)))[0]!,
    /a\.nii(\.gz)?: expected voxels of 0\.05 to 20 mm/,
  );
  rmSync(folder, { recursive: true });
});

test("metres and micrometres are converted, with a warning; written labels keep the header's unit", async () => {
  const sound = await load(caseOf(await image(), await other(), await label()));
  for (const [unit, name, by] of [
    [1, "metres", 1e-3],
    [3, "micrometres", 1e3],
  ] as const) {
    const file = inUnit(await image(scaled(by)), unit);
    const volume = await readNifti(file, "t1");
    assert.is(volume.unit.name, name);
    for (const [i, side] of volume.spacing.entries()) assert.ok(Math.abs(side - 1) < 1e-6, `${i}: ${side}`);
    const source = caseOf(file, await other(), await label()); // a case may mix units: the grid is the same
    const loaded = await load(source);
    assert.equal([loaded.images, loaded.label], [sound.images, sound.label]);
    const warning = new RegExp(`^case a: t1 .*: its header is in ${name}: its voxels are taken as 1x1x1 mm$`);
    assert.ok(loaded.warnings.some((line) => warning.test(line)));
    assert.ok((await check(source))[1].some((line) => warning.test(line)));

    const written = gunzipSync(await writeLabelLike(volume.header, new Uint8Array(120), volume.size));
    for (const [from, to] of [
      [76, 108],
      [123, 124],
      [252, 328],
    ] as const)
      assert.equal([...written.subarray(from, to)], [...file.subarray(from, to)], `bytes ${from} to ${to}`);
    const { affine, spacing } = await readNifti(new Uint8Array(written), "label");
    assert.equal([affine, spacing], [volume.affine, volume.spacing]);
  }
});

test("voxel sizes that no head has are refused where millimetres matter", async () => {
  const expected = /^case a: t1 \(a\/a_t1\.nii\.gz\): expected voxels of 0\.05 to 20 mm a side, got /;
  const sides: [file: Uint8Array, got: RegExp][] = [
    [inUnit(await image(), 1), /got 1000x1000x1000 mm \(its header says 1x1x1 metres\): correct the unit/],
    [inUnit(await image(), 3), /got 0\.001x0\.001x0\.001 mm \(its header says 1x1x1 micrometres\): /],
    [
      await image(scaled(0.001)),
      /got 0\.001x.* \(its header says 0\.001x0\.001x0\.001 mm\): correct the voxel/,
    ],
    [await image(scaled(21)), /got 21x21x21 mm/],
  ];
  for (const [file, got] of sides) {
    const source = caseOf(file, file, file); // one header for all
    const dataset = await openDataset(source);
    const files = dataset.cases[0]!;
    const read = (millimetres?: boolean) =>
      loadCase(source, dataset, files, ["t1"], { labels: false, ...(millimetres && { millimetres }) });
    const problem = (await problemsOf(() => read(true)))[0]!;
    assert.match(problem, expected);
    assert.match(problem, got);
    assert.ok((await check(source))[0].some((line) => got.test(line)));
    assert.equal((await read()).size, [3, 4, 6], "a prediction without a rule in mm³ needs no millimetres");
  }
  for (const by of [0.06, 19])
    assert.ok(await load(caseOf(await image(scaled(by)), await other(scaled(by)), await label(scaled(by)))));
});

test("prediction needs millimetres if the model's post-processing has volumes in mm³", async () => {
  const largest = { ...NO_POSTPROCESSING, WT: { largest: true, piece: 0, total: 0 } };
  const pieces = { ...NO_POSTPROCESSING, ET: { largest: false, piece: 50, total: 0 } };
  for (const [postprocessing, asked] of [
    [null, false],
    [largest, false],
    [pieces, true],
  ] as const) {
    if (postprocessing) assert.is(usesMillimetres(postprocessing), asked);
    const seen: unknown[] = [];
    const candidate = { members: [{ use: { modalities: ["t1"] } }], modalities: ["t1"], postprocessing };
    const plan = [{ id: "a", candidate, sees: ["t1"] }] as unknown as PlannedCase[];
    await checkCases(plan, (_id, _use, options) => {
      seen.push(options?.millimetres);
      return Promise.resolve({} as Case);
    });
    assert.equal(seen, [asked]);
  }
});

test("--affine makes another run only if it is not the default", () => {
  const config = (affine?: AffineChoice) => ({ affine: affine ?? "file" }) as unknown as TrainConfig;
  assert.equal(differences(config(), config("file")), []);
  assert.equal(differences(config(), config("image")), ["affine"]);
});

test.run();
