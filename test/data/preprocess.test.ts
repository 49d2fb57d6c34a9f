// Preparation of cases: normalised, cropped, checked; and predictions put back into the source's grid.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Dataset, MODALITIES, openDataset, type Source } from "../../data/datasets/datasets.ts";
import { fromClasses, labelCounts } from "../../data/datasets/labels.ts";
import { readNifti, type Vec3, writeLabelLike } from "../../data/nifti/nifti.ts";
import { loadCase, loadCases } from "../../data/check/loadCase.ts";
import { prepareCase, uncrop } from "../../data/preparation/preprocess.ts";
import { IDENTITY, problemsOf, sourceOf, volumeFile } from "../support/fixtures.ts";

const test = suite("preprocess");

const SIZE: Vec3 = [5, 6, 7];
const BRAIN = { low: [1, 2, 1], high: [3, 4, 5] }; // corners, inclusive
const inBrain = (...at: number[]) =>
  at.every((value, axis) => value >= BRAIN.low[axis]! && value <= BRAIN.high[axis]!);
const brain = (scale: number) =>
  volumeFile(SIZE, (z, y, x) => (inBrain(z, y, x) ? scale * (1 + z + 2 * y + 3 * x) : 0));
const segmentation = () =>
  volumeFile(SIZE, (z, y, x) => (z === 2 && y === 3 ? ([0, 1, 2, 4, 4, 0, 0][x] ?? 0) : 0));

/** Returns the files of a sound case, some of them replaced. */
async function caseFiles(
  id: string,
  replaced: Record<string, Uint8Array> = {},
): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {};
  for (const [i, modality] of MODALITIES.entries())
    files[`${id}/${id}_${modality}.nii.gz`] = await brain(i + 1);
  files[`${id}/${id}_seg.nii.gz`] = await segmentation();
  for (const [suffix, bytes] of Object.entries(replaced)) files[`${id}/${id}_${suffix}.nii.gz`] = bytes;
  return files;
}

async function load(
  files: Record<string, Uint8Array>,
  options: Parameters<typeof loadCase>[4] = { labels: true },
) {
  const source = sourceOf(files);
  const dataset = await openDataset(source);
  return loadCases(source, dataset, dataset.cases, MODALITIES, options);
}

test("a case is cropped to the brain and scaled to mean 0 and deviation 1 in it", async () => {
  const files = await caseFiles("a", {
    t1: await volumeFile(SIZE, (z, y, x) => (z === 2 && y === 3 && x < 4 ? x : 0)),
  });
  const [loaded] = await load(files);
  assert.equal([loaded!.id, loaded!.size, loaded!.source.offset], ["a", [3, 3, 5], [1, 2, 1]]);
  assert.equal(
    [loaded!.source.size, loaded!.source.spacing, loaded!.channels],
    [SIZE, [1, 1, 1], [...MODALITIES]],
  );
  const t1 = loaded!.images.subarray(0, 45);
  const row = (1 * 3 + 1) * 5; // z = 2, y = 3
  const deviation = Math.sqrt(2 / 3); // of 1, 2, 3: divided by their count
  assert.equal(
    [...t1.subarray(row, row + 3)],
    [-1, 0, 1].map((value) => Math.fround(value / deviation)),
  );
  assert.is(t1.filter((value) => value !== 0).length, 2);

  const flair = loaded!.images.subarray(3 * 45);
  const mean = flair.reduce((sum, value) => sum + value, 0) / 45;
  const squares = flair.reduce((sum, value) => sum + value * value, 0) / 45;
  assert.ok(Math.abs(mean) < 1e-6 && Math.abs(squares - 1) < 1e-5);
});

test("a negative voxel belongs to the brain: only 0 is outside", async () => {
  const t1 = await volumeFile(SIZE, (z, y, x) => (z === 2 && y === 3 && x < 4 ? [0, -3, 1, 2][x]! : 0));
  const [loaded] = await load(await caseFiles("a", { t1 }));
  const row = (1 * 3 + 1) * 5;
  const expected = [-3, 1, 2].map((value) => Math.fround(value / Math.sqrt(14 / 3)));
  assert.equal([...loaded!.images.subarray(row, row + 4)], [...expected, 0]);
});

test("the published code's background is the constant -mean/deviation of each modality", async () => {
  const t2 = await volumeFile(SIZE, (z, y, x) => (z === 2 && y === 3 && x < 4 ? x : 0));
  const [loaded] = await load(await caseFiles("a", { t2 }), { labels: true, background: "shifted" });
  const expected = -2 / Math.sqrt(2 / 3);
  assert.ok(Math.abs(loaded!.background![1]! - expected) < 1e-6);
  assert.ok(Math.abs(loaded!.images[45]! - expected) < 1e-6);
});

test("a modality with one value is refused; prepared, it would be 0 everywhere", async () => {
  const bytes = await volumeFile(SIZE, (z) => (z === 2 ? 5 : 0));
  const problems = await problemsOf(async () => load(await caseFiles("a", { t1: bytes })));
  assert.equal(problems.length, 1);
  assert.match(problems[0]!, /^case a: t1 \(a\/a_t1\.nii\.gz\): expected an image, got one value, 5, in all/);
  const volume = await readNifti(bytes, "t1.nii.gz");
  const image = { modality: "t1" as const, what: "t1", volume, voxels: volume.data };
  const prepared = prepareCase({ id: "a", images: [image], convention: "brats" }, {});
  assert.ok(prepared.images.every((value) => value === 0));
});

test("labels become classes, and can be written back in the source's grid, numbers and affine", async () => {
  const affine = IDENTITY.map((row, i) => (i === 0 ? [0, -2, 0, 17.25] : i === 1 ? [2, 0, 0, -3] : row));
  const files: Record<string, Uint8Array> = {};
  for (const [i, modality] of MODALITIES.entries()) {
    files[`a/a_${modality}.nii.gz`] = await volumeFile(
      SIZE,
      (z, y, x) => (inBrain(z, y, x) ? 1 + x + i * y : 0),
      affine,
    );
  }
  const inside = (z: number, y: number, x: number) => (inBrain(z, y, x) ? [0, 1, 2, 4][(z + y + x) % 4]! : 0);
  files["a/a_seg.nii.gz"] = await volumeFile(SIZE, inside, affine);
  const [loaded] = await load(files);
  assert.is(loaded!.label![0], [0, 2, 3, 1][(1 + 2 + 1) % 4]);

  const back = fromClasses(uncrop(loaded!.label!, loaded!), loaded!.convention);
  const written = await readNifti(
    await writeLabelLike(loaded!.source.header, back, loaded!.source.size),
    "p.nii.gz",
  );
  const original = await readNifti(files["a/a_seg.nii.gz"]!, "a_seg.nii.gz");
  assert.equal([...written.data], [...original.data]);
  assert.equal(written.affine, original.affine);
  assert.equal(written.header.slice(252, 328), original.header.slice(252, 328));
});

test("a student's case needs only its own modality, and no label for a prediction", async () => {
  const files = await caseFiles("a");
  const source = sourceOf({ "a/a_flair.nii.gz": files["a/a_flair.nii.gz"]! });
  const dataset = await openDataset(source);
  const loaded = await loadCase(source, dataset, dataset.cases[0]!, ["flair"], { labels: false });
  assert.equal([loaded.channels, loaded.images.length, loaded.label], [["flair"], 45, undefined]);
});

test("one error lists all problems of all cases, each with its case and file", async () => {
  const shifted = IDENTITY.map((row, i) => (i === 2 ? [0, 0, 1, 0.5] : row));
  const nan = await volumeFile(SIZE, (z, y, x) => (x === 3 && z === 2 ? NaN : inBrain(z, y, x) ? y : 0));
  const other = await volumeFile([5, 6, 8], (z, y, x) => 1 + z + y * x);
  const files = {
    ...(await caseFiles("a", { t1: nan, t2: await volumeFile(SIZE, () => 0) })),
    ...(await caseFiles("b", { t1ce: other })),
    ...(await caseFiles("f", {
      flair: await volumeFile(SIZE, (z, y, x) => (inBrain(z, y, x) ? 1 + x : 0), shifted),
    })),
    ...(await caseFiles("c", {
      seg: await volumeFile(SIZE, (z, y, x) => (inBrain(z, y, x) && x === 1 ? 3 : 0)),
    })),
    ...(await caseFiles("d", {
      t1: new TextEncoder().encode("no image"),
      t2: (await brain(1)).subarray(0, 90),
    })),
    ...(await caseFiles("e")),
  };
  delete files["e/e_t2.nii.gz"];
  const problems = await problemsOf(() => load(files));
  const expected = [
    /^case a: t1 \(a\/a_t1\.nii\.gz\): expected finite voxels, got 6 that are NaN or infinite: export it again$/,
    /^case a: t2 \(a\/a_t2\.nii\.gz\): expected an image, got zero in every voxel: remove the file$/,
    /^case b: expected one shape, got t1 \(b\/b_t1\.nii\.gz\) 7x6x5, .*t1ce \(b\/b_t1ce\.nii\.gz\) 8x6x5, .*: resample/,
    /^case c: label \(c\/c_seg\.nii\.gz\): expected labels 0, 1, 2, 4 .*use --labels brats2023/,
    /^case d: d\/d_t1\.nii\.gz: expected a NIfTI file, got only 8 bytes/,
    /^case d: d\/d_t2\.nii\.gz: expected a complete gzip file, got a damaged or truncated one/,
    /^case e: expected the modalities t1, t2, t1ce, flair, got only t1, t1ce, flair: /,
    /^case f: flair .*: expected the affine of t1.*1, 0\]\], got .*1, 0\.5\]\], .*by 0\.50 mm/,
  ];
  assert.is(problems.length, expected.length, problems.join("\n"));
  for (const [i, pattern] of expected.entries()) assert.match(problems[i]!, pattern);
});

test("affines that differ only by rounding are one grid", async () => {
  const rounded = IDENTITY.map((row, i) => (i === 2 ? [0, 0, 1.001, 0.001] : row));
  const files = await caseFiles("a", {
    t2: await volumeFile(SIZE, (z, y, x) => (inBrain(z, y, x) ? 1 + z : 0), rounded),
  });
  assert.is((await load(files)).length, 1);
});

test("a file with several volumes where one is expected is refused", async () => {
  const source = sourceOf({
    "dataset.json": JSON.stringify({
      modality: { 0: "FLAIR", 1: "T1w" },
      labels: { 1: "edema", 2: "non-enhancing tumor", 3: "enhancing tumour" },
    }),
    "imagesTr/a.nii.gz": await brain(1),
    "labelsTr/a.nii.gz": await segmentation(),
  });
  const dataset = await openDataset(source);
  const problems = await problemsOf(() =>
    loadCase(source, dataset, dataset.cases[0]!, ["t1"], { labels: true }),
  );
  assert.match(problems[0]!, /^case a: t1 \(imagesTr\/a\.nii\.gz\): expected 2 volumes in the file, got 1$/);
});

// Real scans, if they are present.

const shared = join(import.meta.dirname, "../../../shared/data");

/** Returns a source of the files `paths` in the folder `name`. */
function folder(name: string, paths: string[]): Source {
  return {
    name,
    list: () => Promise.resolve(paths),
    read: (path) => Promise.resolve(readFileSync(join(shared, name, path))),
  };
}

function labelCountsOf(path: string): Record<string, number> {
  const manifest = JSON.parse(readFileSync(join(shared, "manifest.json"), "utf8")) as {
    path: string;
    label_counts?: Record<string, number>;
  }[];
  return manifest.find((entry) => entry.path === path)!.label_counts!;
}

async function checkReal(source: Source, values: Record<number, string>): Promise<Dataset> {
  const dataset = await openDataset(source);
  const files = dataset.cases[0]!;
  const loaded = await loadCase(source, dataset, files, MODALITIES, { labels: true });
  const counts = labelCounts(loaded.label!);
  const known = labelCountsOf(`${source.name}/${files.label!}`);
  for (const [c, value] of Object.entries(values))
    assert.is(counts.get(Number(c)), known[value], `class ${c}`);
  assert.ok(loaded.size.every((length, axis) => length <= loaded.source.size[axis]! && length > 40));
  assert.equal(loaded.source.spacing, [2, 2, 2]);
  assert.is(uncrop(loaded.label!, loaded).length, 72 * 96 * 80);
  return dataset;
}

if (!existsSync(join(shared, "manifest.json"))) {
  console.log("SKIPPED: real cases of BraTS and the Decathlon: no ../shared/data");
} else {
  test("a real BraTS case has the classes of its labels 4, 1, 2", async () => {
    const id = "BraTS2021_00006";
    const paths = ["t1", "t1ce", "t2", "flair", "seg"].map((suffix) => `${id}/${id}_${suffix}.nii.gz`);
    const dataset = await checkReal(folder("brats2021-2mm", paths), { 1: "4", 2: "1", 3: "2" });
    assert.equal([dataset.layout, dataset.convention], ["brats", "brats"]);
  });

  test("a real Decathlon case has the classes of its labels 3, 2, 1", async () => {
    const paths = ["dataset.json", "imagesTr/BRATS_001.nii.gz", "labelsTr/BRATS_001.nii.gz"];
    const dataset = await checkReal(folder("msd/Task01_BrainTumour-2mm", paths), { 1: "3", 2: "2", 3: "1" });
    assert.equal([dataset.layout, dataset.convention], ["msd", "msd"]);
  });
}

test.run();
