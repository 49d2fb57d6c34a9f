// Data sets as they are found in the wild: other spellings of contrasts, lists of images, new cases beside
// the training cases, and files that belong to no case.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openDataset, surveyDataset } from "../../data/datasets/datasets.ts";
import { jsonOf, textOf } from "../../data/datasets/json.ts";
import { readNames } from "../../data/datasets/names.ts";
import { parseSplits } from "../../data/datasets/splits.ts";
import { problemsOf, sourceOf } from "../support/fixtures.ts";

const test = suite("layouts");

const folderOf = (...paths: string[]) => sourceOf(Object.fromEntries(paths.map((path) => [path, ""])));
const named = (folder: string, ...names: string[]) => names.map((name) => `${folder}${name}.nii.gz`);
const LABELS = { background: 0, oedema: 1, "necrotic core": 2, "enhancing tumour": 3 };
const CHANNELS = { 0: "FLAIR", 1: "T1", 2: "T1ce", 3: "T2" };

/** The case and role that each name is read as, in a folder of exactly these files. */
function read(...names: string[]): Record<string, string> {
  const found = [...readNames(named("", ...names))];
  return Object.fromEntries(
    found.map(([path, { id, role }]) => [path.replace(".nii.gz", ""), `${id}: ${role}`]),
  );
}

test("file names may spell a contrast as dataset.json may", () => {
  for (const [name, role] of [
    ["G-00000_11_T1GD", "G-00000_11: t1ce"],
    ["A_t1_ce", "A: t1ce"],
    ["A_t1post", "A: t1ce"],
    ["A_T1_post_contrast", "A: t1ce"],
    ["A_T1wCE", "A: t1ce"],
    ["A-T1-Gd", "A: t1ce"],
    ["A_t1c", "A: t1ce"],
    ["A_T1w", "A: t1"],
    ["A_T2_FLAIR", "A: flair"],
    ["A_SEG", "A: label"],
    ["sub-0_T1w", "sub-0: t1"],
    ["sub-0_T2w", "sub-0: t2"],
    ["sub-0_ce-gadolinium_T1w", "sub-0: t1ce"],
    ["sub-0_ses-1_acq-mprage_ce-gd_run-1_T1w", "sub-0_ses-1: t1ce"],
    ["sub-0_ses-1_acq-space_FLAIR", "sub-0_ses-1: flair"],
  ] as const)
    assert.equal(read(name), { [name]: role });
});

test("a name that may mean another contrast is read only if the names beside it decide", () => {
  for (const name of ["A_post_T1", "A_gd_T1w", "sub-0_ce-gd_FLAIR", "time_t_2", "A_T1_old", "T1", "A_segm"])
    assert.equal(read(name), {}, name);
  assert.equal(read("A_post_T1", "A_T1", "A_T2", "A_FLAIR"), {
    A_T1: "A: t1",
    A_T2: "A: t2",
    A_FLAIR: "A: flair",
  });
  const operated = read("A_post_t1", "A_post_t1ce");
  assert.equal(operated, { A_post_t1: "A_post: t1", A_post_t1ce: "A_post: t1ce" });
  const times = read("P_t2_flair", "P_t2_t1", "P_t1_flair", "P_t1_t1");
  assert.equal(Object.values(times), ["P_t2: flair", "P_t2: t1", "P_t1: flair", "P_t1: t1"]);
});

test("names that BraTS does not use leave the labels a question, and two files of one contrast are an error", async () => {
  const other = folderOf(...named("A/", "A_T1", "A_T1GD", "A_T2", "A_FLAIR"));
  assert.match(
    (await problemsOf(() => openDataset(other)))[0]!,
    /got names that BraTS does not use \(A\/A_T1GD\.nii\.gz\): use --labels brats \(.*\),/,
  );
  const { cases, convention } = await openDataset(other, { convention: "brats" });
  assert.equal([Object.keys(cases[0]!.images).length, convention], [4, "brats"]);
  const bids = await surveyDataset(folderOf(...named("", "sub-0_T2w", "sub-0_FLAIR")));
  assert.is(bids.convention, null, "T2w is a name of BIDS, not of BraTS 2023");
  const twice = folderOf(...named("A/", "A_t1ce", "A_T1GD"));
  assert.is(
    (await problemsOf(() => openDataset(twice, { convention: "brats" })))[0],
    "case A: expected one t1ce file, got A/A_T1GD.nii.gz and A/A_t1ce.nii.gz: remove one",
  );
  const sessions = folderOf(...named("1/", "A_t1"), ...named("2/", "A_t1"));
  assert.match(
    (await problemsOf(() => openDataset(sessions)))[0]!,
    /got A twice, 1\/A_t1\.nii\.gz and 2\/A_t1\.nii\.gz: rename one/,
  );
});

test("volumes that belong to no case are one warning, and hidden folders are not looked into", async () => {
  const { warnings } = await openDataset(
    folderOf(
      ...named("A/", "A_t1", "A_t1_old", "A_pd", "A_swi", "A_dwi"),
      ...named("__MACOSX/A/", "A_t2"),
      ...named(".Trash-0/", "B_t1"),
      "notes.txt",
    ),
  );
  assert.is(warnings.length, 1);
  assert.match(
    warnings[0]!,
    /^A\/A_dwi\.nii\.gz, A\/A_pd\.nii\.gz, A\/A_swi\.nii\.gz and 1 more: belong to no case and are ignored: names/,
  );
});

const nnunet = (files: readonly string[], more: object = {}) =>
  sourceOf({
    "dataset.json": JSON.stringify({ channel_names: CHANNELS, labels: LABELS, ...more }),
    ...Object.fromEntries(files.map((path) => [path, ""])),
  });
const numbered = (folder: string, id: string) =>
  [0, 1, 2, 3].map((channel) => `${folder}${id}_000${channel}.nii.gz`);

test("nnU-Net: the cases of imagesTs are new ones, and a case in both folders is an error", async () => {
  const files = [...numbered("imagesTr/", "a"), ...numbered("imagesTs/", "b")];
  const labels = ["labelsTr/a.nii.gz", "labelsTr/alone.nii.gz", "labelsTs/b.nii.gz"];
  const { cases, newCases, labels: all, warnings } = await surveyDataset(nnunet([...files, ...labels]));
  assert.equal(
    [cases, newCases].map((list) => list.map(({ id, label }) => [id, label])),
    [[["a", "labelsTr/a.nii.gz"]], [["b", "labelsTs/b.nii.gz"]]],
  );
  assert.equal([...all].sort(), [
    ["a", ["labelsTr/a.nii.gz"]],
    ["alone", ["labelsTr/alone.nii.gz"]],
    ["b", ["labelsTs/b.nii.gz"]],
  ]);
  assert.match(warnings.join(), /^labelsTr\/alone\.nii\.gz: belongs to no case/);
  assert.equal(await problemsOf(() => openDataset(nnunet([...files, ...numbered("imagesTs/", "a")]))), [
    "case a: expected it in one folder, got imagesTr/a_0000.nii.gz and imagesTs/a_0000.nii.gz: rename one",
  ]);
});

test("nnU-Net: images alone are named by the dataset.json above, or by the model's order of channels", async () => {
  const alone = folderOf(...numbered("", "b"));
  const json = new TextEncoder().encode(JSON.stringify({ channel_names: CHANNELS, labels: LABELS }));
  const readAbove = (name: string) => Promise.resolve(name === "dataset.json" ? json : null);
  const described = await openDataset({ ...alone, readAbove });
  assert.equal([described.cases.length, described.convention], [1, "msd"]);
  assert.is(described.cases[0]!.images.flair?.path, "b_0000.nii.gz");

  const four = ["t1", "t2", "t1ce", "flair"] as const;
  const open = (...orders: (readonly ("t1" | "t2" | "t1ce" | "flair")[])[]) =>
    openDataset(alone, { convention: "brats", orders });
  const { cases, warnings } = await open(four, ["t1ce"]);
  assert.is(cases[0]!.images.t1ce?.path, "b_0002.nii.gz");
  assert.equal(warnings, [
    "data: no dataset.json names the channels, taken in the model's order: 0000 is t1, 0001 is t2, 0002 is t1ce, 0003 is flair",
  ]);
  for (const orders of [[], [["t1"]], [four, four.toReversed()]] as const)
    assert.match((await problemsOf(() => open(...orders)))[0]!, /a dataset\.json that names the channels/);
});

test("nnU-Net: dataset.json may list the images of each case; other file endings are refused once", async () => {
  const images = ["x/1.nii.gz", "x/2.nii.gz", "x/3.nii.gz", "x/4.nii.gz"];
  const dataset = { one: { images, label: "y/1.nii.gz" } };
  const { layout, cases } = await openDataset(nnunet([...images, "y/1.nii.gz"], { dataset }));
  assert.equal([layout, cases.map(({ id, label }) => [id, label])], ["list", [["one", "y/1.nii.gz"]]]);
  assert.is(cases[0]!.images.t2?.path, "x/4.nii.gz");
  assert.equal(await problemsOf(() => openDataset(nnunet([], { file_ending: ".nrrd" }))), [
    "data/dataset.json: expected images that end in .nii.gz or .nii, got the file_ending .nrrd: convert them",
  ]);
});

test("MONAI's lists are read, and what is wrong with many entries is one line", async () => {
  const entry = (id: string) => ({
    fold: 0,
    image: named(`${id}/`, `${id}_flair`, `${id}_t1`, `${id}_t1ce`, `${id}_t2`),
    label: `${id}/${id}_seg.nii.gz`,
  });
  const entries = ["a", "b", "c", "d", "e"].map(entry);
  const source = (training: object[], files: string[], more = {}) =>
    sourceOf({
      "dataset.json": JSON.stringify({ training, ...more }),
      ...Object.fromEntries(files.map((path) => [path, ""])),
    });
  const files = entries.flatMap(({ image, label }) => [...image, label]);
  const found = await openDataset(source(entries, files));
  assert.equal([found.layout, found.convention, found.cases.length], ["list", "brats", 5]);
  assert.equal([found.cases[1]!.id, found.cases[1]!.images.t1?.path], ["b", "b/b_t1.nii.gz"]);
  assert.match(found.warnings.join(), /^data\/dataset\.json: its folds are not used/);

  const problems = (...given: Parameters<typeof source>) => problemsOf(() => openDataset(source(...given)));
  assert.match(
    (await problems(entries, [])).join("\n"),
    /^data\/dataset\.json: expected the listed files a\/a_flair\.nii\.gz, .* and 22 more, got none: add them[^\n]*$/,
  );
  const wrong = await problems(entries, files, {
    modality: { 0: "T1", 1: "FLAIR", 2: "T1ce", 3: "T2" },
    labels: LABELS,
  });
  assert.match(
    wrong.join("\n"),
    /^[^\n]*in the order of the named channels, got a\/a_flair\.nii\.gz \(t1 by/,
  );
  const other = entries.map(({ image, ...rest }) => ({ ...rest, image: { path: image } }));
  assert.equal(await problems(other, files), [
    "data/dataset.json: training.0.image: expected a path, or a list of paths (and 4 more entries like this)",
  ]);
});

test("names are compared in one form of Unicode, and files are read by their own names", async () => {
  const [composed, parts] = ["é".normalize("NFC"), "é".normalize("NFD")];
  const { cases } = await openDataset(folderOf(...named(`${parts}/`, `${parts}_t1`)));
  assert.equal([cases[0]!.id, cases[0]!.images.t1?.path], [composed, `${parts}/${parts}_t1.nii.gz`]);
  const split = JSON.stringify({ train: [parts] });
  assert.equal(parseSplits(split, "s.json", [composed]), { train: [composed], val: [], test: [] });
  const both = folderOf(...named(`1/`, `${parts}_t1`), ...named("2/", `${composed}_t1`));
  assert.match((await problemsOf(() => openDataset(both)))[0]!, /expected different case names, got é twice/);
  const channels = nnunet([...numbered("imagesTr/", parts), `labelsTr/${composed}.nii.gz`]);
  assert.is((await openDataset(channels)).cases[0]!.label, `labelsTr/${composed}.nii.gz`);
});

test("text is read without a byte order mark; other encodings are named", async () => {
  const bytes = (text: string, encoding: BufferEncoding) => new Uint8Array(Buffer.from(text, encoding));
  assert.is(textOf(bytes("\uFEFFé", "utf8"), "a"), "é");
  for (const text of ["\uFEFF{}", "{}"])
    assert.match(
      (await problemsOf(() => textOf(bytes(text, "utf16le"), "a")))[0]!,
      /^a: .* UTF-16: save it as/,
    );
  assert.match((await problemsOf(() => textOf(bytes("é", "latin1"), "a")))[0]!, /^a: .*: save it as UTF-8$/);
  assert.match((await problemsOf(() => textOf(bytes("ab\0", "utf8"), "a")))[0]!, /bytes that are 0: copy/);
  assert.match((await problemsOf(() => textOf(bytes("abc", "utf8"), "a", 2)))[0]!, /at most 2 bytes, got 3$/);
  assert.match((await problemsOf(() => jsonOf(bytes("{", "utf8"), "a")))[0]!, /^a: expected JSON, got text/);
});

test.run();
