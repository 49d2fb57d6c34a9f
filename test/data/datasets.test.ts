// Finding the cases in folders, and the meaning of their labels.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MODALITIES, openDataset } from "../../data/datasets/datasets.ts";
import { problemsOf, sourceOf } from "../support/fixtures.ts";

const test = suite("datasets");

const folderOf = (...paths: string[]) => sourceOf(Object.fromEntries(paths.map((path) => [path, ""])));
const bratsCase = (folder: string, id: string, suffixes: string) =>
  suffixes.split(" ").map((suffix) => `${folder}${id}${suffix}.nii.gz`);

test("BraTS folders: every case with its modalities and label, 1/2/4", async () => {
  const source = folderOf(
    ...bratsCase("HGG/B_2/", "B_2", "_t1 _t1ce _t2 _flair _seg"),
    ...bratsCase("B 1é/", "B 1é", "_t1 _t1ce _t2 _flair _seg"),
    "HGG/B_2/._B_2_t1.nii.gz",
    "survival.csv",
  );
  const { layout, convention, cases } = await openDataset(source);
  assert.equal([layout, convention, cases.map(({ id }) => id)], ["brats", "brats", ["B 1é", "B_2"]]);
  assert.equal(cases[1]!.images.t1ce, { path: "HGG/B_2/B_2_t1ce.nii.gz", channel: 0 });
  assert.is(cases[1]!.label, "HGG/B_2/B_2_seg.nii.gz");
});

test("BraTS 2023 folders are recognised by their names, with '-' or '_', also a single case", async () => {
  for (const mark of ["-", "_"]) {
    const suffixes = `${mark}t1n ${mark}t1c ${mark}t2w ${mark}t2f ${mark}seg`;
    for (const folder of ["BraTS-GLI-00000-000/", ""]) {
      const dataset = await openDataset(folderOf(...bratsCase(folder, "BraTS-GLI-00000-000", suffixes)));
      assert.equal([dataset.layout, dataset.convention, dataset.cases.length], ["brats", "brats2023", 1]);
      const [{ id, images, label }] = dataset.cases as [(typeof dataset.cases)[number]];
      assert.is(id, "BraTS-GLI-00000-000");
      assert.is(images.flair?.path, `${folder}BraTS-GLI-00000-000${mark}t2f.nii.gz`);
      assert.is(label, `${folder}BraTS-GLI-00000-000${mark}seg.nii.gz`);
    }
  }
});

test("names of both years need --labels, and --labels decides", async () => {
  const source = folderOf("a/a_t1.nii.gz", "b/b-t1n.nii.gz");
  assert.match(
    (await problemsOf(() => openDataset(source)))[0]!,
    /got names of BraTS to 2021 .*: use --labels brats \(.*\) or --labels brats2023 \(/,
  );
  assert.is((await openDataset(source, { convention: "brats2023" })).convention, "brats2023");
  assert.match(
    (await problemsOf(() => openDataset(folderOf("a/a_seg.nii"))))[0]!,
    /got label files only: use --labels/,
  );
});

test("two files of one modality, and ids that differ in case only, are refused by name", async () => {
  const twice = folderOf("a/a_t1.nii", "a/a_t1.nii.gz", "a/a_t2.nii");
  assert.equal(await problemsOf(() => openDataset(twice)), [
    "case a: expected one t1 file, got a/a_t1.nii and a/a_t1.nii.gz: remove one",
  ]);
  const alike = folderOf("x/Case_t1.nii", "y/case_t1.nii");
  assert.match(
    (await problemsOf(() => openDataset(alike)))[0]!,
    /different case names, got Case and case: rename one/,
  );
});

test("an empty folder and a folder of something else say what was expected", async () => {
  assert.match(
    (await problemsOf(() => openDataset(folderOf())))[0]!,
    /^data: expected <case>\/<case>_t1\.nii\.gz .*dataset\.json.*got an empty folder$/,
  );
  assert.match((await problemsOf(() => openDataset(folderOf("a.txt"))))[0]!, /got 1 files \(a\.txt\.\.\.\)/);
  assert.match(
    (await problemsOf(() => openDataset(folderOf("Dataset001_X/dataset.json"))))[0]!,
    /expected one data set, got several: use data\/Dataset001_X/,
  );
});

test("a file whose name is no path is not read, with a warning; a listed path that leads out is refused", async () => {
  for (const path of ["../a_t1.nii", "a/../../a_t1.nii", "/etc/a_t1.nii", "C:/a_t1.nii", "a\\a_t1.nii"]) {
    const { cases, warnings } = await openDataset(folderOf(path, "b/b_t1.nii"));
    assert.equal(
      cases.map(({ id }) => id),
      ["b"],
    );
    assert.equal(warnings, [
      `${path}: has a name that is no path here (unpacked from a zip of another system?), rename it`,
    ]);
    const problems = await problemsOf(() => openDataset(folderOf(path)));
    assert.match(problems[0]!, /got an empty folder$/);
    assert.match(problems[1]!, /is no path here/);
  }
  const json = { modality: { 0: "T1" }, labels: {}, training: [{ image: "../../secret.nii.gz" }] };
  const source = sourceOf({ "dataset.json": JSON.stringify(json), "imagesTr/a.nii.gz": "" });
  assert.match(
    (await problemsOf(() => openDataset(source)))[0]!,
    /inside the folder, got "\.\.\/\.\.\/secret/,
  );
});

const NNUNET = {
  channel_names: { 0: "T1", 1: "T1ce", 2: "T2", 3: "Flair", 4: "ADC" },
  labels: { background: 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": 3 },
  numTraining: 1,
  file_ending: ".nii.gz",
};
const nnunet = (description: object) =>
  sourceOf({
    "dataset.json": JSON.stringify(description),
    ...Object.fromEntries([0, 1, 2, 3, 4].map((c) => [`imagesTr/case_A_000${c}.nii.gz`, ""])),
    "labelsTr/case_A.nii.gz": "",
    "imagesTs/case_B_0000.nii.gz": "",
  });

test("nnU-Net: channels by their names, the convention from nested or exclusive labels", async () => {
  const { layout, convention, cases } = await openDataset(nnunet(NNUNET));
  assert.equal([layout, convention, cases.length], ["nnunet", "msd", 1]); // 1 oedema, 2 necrosis, 3 enhancing
  assert.is(cases[0]!.id, "case_A");
  assert.equal(cases[0]!.images.t1ce, { path: "imagesTr/case_A_0001.nii.gz", channel: 0 });
  assert.equal(Object.keys(cases[0]!.images).sort(), [...MODALITIES].sort());
  assert.is(cases[0]!.label, "labelsTr/case_A.nii.gz");

  const exclusive = { background: 0, "necrotic core (NCR)": 1, edema: 2, "enhancing tumour": 3 };
  assert.is((await openDataset(nnunet({ ...NNUNET, labels: exclusive }))).convention, "brats2023");
  const old = { 0: "background", 1: "NCR", 2: "ED", 4: "ET" };
  const first = {
    modality: NNUNET.channel_names,
    labels: old,
    training: [{ image: "./imagesTr/case_A.nii.gz" }],
  };
  const dataset = await openDataset(nnunet(first)); // version 1's dataset.json
  assert.equal([dataset.layout, dataset.convention], ["nnunet", "brats"]);
});

test("labels with meaningless names need --labels", async () => {
  const source = nnunet({ ...NNUNET, labels: { background: 0, one: 1, two: 2, three: 3 } });
  assert.match(
    (await problemsOf(() => openDataset(source)))[0]!,
    /got \{"background":0.*: use --labels brats \(1 necrotic core, .*\), .* or --labels msd \(/,
  );
  assert.is((await openDataset(source, { convention: "msd" })).convention, "msd");
});

test("a dataset.json that is broken, or names no modality, is refused", async () => {
  const problem = async (json: string) =>
    (
      await problemsOf(() => openDataset(sourceOf({ "dataset.json": json, "imagesTr/a_0000.nii.gz": "" })))
    )[0]!;
  assert.match(
    await problem('{"labels": NaN}'),
    /^data\/dataset\.json: expected JSON, got text that is not valid: /,
  );
  assert.match(await problem("[".repeat(100000)), /^data\/dataset\.json: expected/);
  assert.match(await problem("{}"), /expected "channel_names" \(nnU-Net\) or "modality", got neither/);
  assert.match(await problem('{"channel_names": {"0": "CT"}}'), /expected channels named T1, .*got CT/);
  assert.match(await problem('{"channel_names": {"0": 7}}'), /channel_names\.0: Invalid type/);
  assert.match(
    await problem('{"channel_names": {"0": "T1", "1": "T1w"}}'),
    /one channel of t1, got T1 and T1w/,
  );
});

test("the Decathlon: one file for all modalities; a listed file that is missing is named", async () => {
  const json = {
    modality: { 0: "FLAIR", 1: "T1w", 2: "t1gd", 3: "T2w" },
    labels: { 0: "background", 1: "edema", 2: "non-enhancing tumor", 3: "enhancing tumour" },
    training: [{ image: "./imagesTr/BRATS_001.nii.gz", label: "./labelsTr/BRATS_001.nii.gz" }],
  };
  const files = {
    "dataset.json": JSON.stringify(json),
    "imagesTr/BRATS_001.nii.gz": "",
    "imagesTr/._x.nii.gz": "",
  };
  const { layout, convention, cases } = await openDataset(
    sourceOf({ ...files, "labelsTr/BRATS_001.nii.gz": "" }),
  );
  assert.equal([layout, convention, cases[0]!.id], ["msd", "msd", "BRATS_001"]);
  assert.equal(cases[0]!.images, {
    flair: { path: "imagesTr/BRATS_001.nii.gz", channel: 0 },
    t1: { path: "imagesTr/BRATS_001.nii.gz", channel: 1 },
    t1ce: { path: "imagesTr/BRATS_001.nii.gz", channel: 2 },
    t2: { path: "imagesTr/BRATS_001.nii.gz", channel: 3 },
  });
  assert.match(
    (await problemsOf(() => openDataset(sourceOf(files))))[0]!,
    /expected the listed file labelsTr\/BRATS_001\.nii\.gz, got none/,
  );
});

test("BraTS 2024: glioma after treatment is recognised by its ids, PED by the challenge's folder", async () => {
  const of = (...ids: string[]) =>
    folderOf(...ids.flatMap((path) => [`${path}-t1n.nii.gz`, `${path}-seg.nii.gz`]));
  const convention = async (...ids: string[]) => (await openDataset(of(...ids))).convention;
  assert.is(await convention("BraTS-GLI-00005-000"), "brats2023");
  assert.is(await convention("BraTS-GLI-00005-100"), "brats2024-gli");
  assert.is(await convention("BraTS-GLI-00005-000", "BraTS-GLI-00006-101"), "brats2024-gli");
  assert.is(await convention("BraTS-PEDs2024_Training/BraTS-PED-00001-000"), "brats2024-ped");
  const first = "ASNR-MICCAI-BraTS2023-PED-Challenge-TrainingData/BraTS-PED-00001-000";
  assert.is(await convention(first), "brats2023");
  for (const ids of [["BraTS-PED-00001-000"], [first, "BraTS-PEDs2024_Training/BraTS-PED-00002-000"]]) {
    assert.match(
      (await problemsOf(() => openDataset(of(...ids))))[0]!,
      /got names of BraTS 2023 \(.*\) and names of BraTS-PED 2024 .*: use --labels brats2023 .* or --labels brats2024-ped/,
    );
  }
  assert.is(
    (await openDataset(of("BraTS-PED-1-0"), { convention: "brats2024-ped" })).convention,
    "brats2024-ped",
  );
});

test("nnU-Net: BraTS 2024's labels by their names, exclusive or nested", async () => {
  const convention = async (labels: object) => (await openDataset(nnunet({ ...NNUNET, labels }))).convention;
  const gli = { background: 0, NETC: 1, SNFH: 2, ET: 3, RC: 4 };
  assert.is(await convention(gli), "brats2024-gli");
  const words = {
    background: 0,
    "non-enhancing tumor core": 1,
    "surrounding non-enhancing FLAIR hyperintensity": 2,
    "enhancing tissue": 3,
    "resection cavity": 4,
  };
  assert.is(await convention(words), "brats2024-gli");
  const nested = {
    background: 0,
    "whole tumor": [1, 2, 3],
    "tumor core": [1, 3],
    ET: 3,
    "resection cavity": 4,
  };
  assert.is(await convention(nested), "brats2024-gli");
  assert.is(await convention({ background: 0, ET: 1, NET: 2, CC: 3, ED: 4 }), "brats2024-ped");
  const cysts = {
    background: 0,
    "enhancing tumor": 1,
    "non-enhancing tumor": 2,
    "cystic component": 3,
    edema: 4,
  };
  assert.is(await convention(cysts), "brats2024-ped");
  const regions = {
    background: 0,
    "whole tumor": [1, 2, 3, 4],
    "tumor core": [1, 2, 3],
    "enhancing tumor": 1,
  };
  assert.is(await convention(regions), "brats2024-ped");
  // BraTS until 2014 had non-enhancing tumour beside the necrosis: no convention here has.
  const older = { background: 0, necrosis: 1, edema: 2, "non-enhancing": 3, enhancing: 4 };
  assert.match((await problemsOf(() => convention(older)))[0]!, /expected labels named oedema/);
});

test.run();
