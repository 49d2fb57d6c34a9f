// node cli/check.js: one run on a data set with every common fault names all of them.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkFolder, type CheckFlags } from "../../cli/check.ts";
import { allFindings, checkDataset, type CheckReport } from "../../data/check/check.ts";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { IDENTITY, sourceOf, volumeFile } from "../support/fixtures.ts";

const test = suite<{ root: string; data: string }>("check");

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), "check-"));
  context.data = join(context.root, "data");
  mkdirSync(context.data);
});
test.after.each(({ root }) => rmSync(root, { recursive: true }));

let drawn = 0;
/** An image of 10x9x8 voxels with air around it, unlike every other. */
const image = (affine = IDENTITY) => {
  const offset = 100 * ++drawn;
  return volumeFile([8, 9, 10], (z, y, x) => (z > 0 && y > 0 ? offset + ((3 * z + y * x) % 7) : 0), affine);
};
const label = (value: (z: number) => number) =>
  volumeFile([8, 9, 10], (z, y) => (y > 0 && z > 0 ? value(z) : 0));
const fullLabel = await label((z) => [0, 1, 2, 4][z % 4]!);
const FLAGS = { modality: "all", patch: "7,8,8" } as const;

type Content = Partial<Record<"t1" | "t2" | "t1ce" | "flair" | "seg", Uint8Array>>;

async function whole(changes: Content = {}, affine = IDENTITY): Promise<Content> {
  const content: Content = { seg: fullLabel };
  for (const modality of MODALITIES) content[modality] = await image(affine);
  return { ...content, ...changes };
}

function write(folder: string, path: string, content: Uint8Array | string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
}

function writeCase(folder: string, id: string, content: Content): void {
  for (const [suffix, bytes] of Object.entries(content)) write(folder, `${id}/${id}_${suffix}.nii.gz`, bytes);
}

async function check(data: string, flags: Partial<CheckFlags> = {}): Promise<[CheckReport, string]> {
  const lines: string[] = [];
  const report = await checkFolder({ data, ...FLAGS, ...flags }, (line) => lines.push(line));
  return [report, lines.join("\n")];
}

/** Asserts that each pattern matches exactly one line, and that every line is matched. */
function each(lines: readonly string[], patterns: readonly RegExp[]): void {
  for (const pattern of patterns)
    assert.is(lines.filter((line) => pattern.test(line)).length, 1, `${pattern} in\n${lines.join("\n")}`);
  const rest = lines.filter((line) => !patterns.some((pattern) => pattern.test(line)));
  assert.equal(rest, []);
}

test("a sound data set has no findings, and its numbers are printed", async ({ data }) => {
  writeCase(data, "one", await whole());
  writeCase(data, "two", await whole());
  const [report, printed] = await check(data);
  assert.equal([allFindings(report, "problems"), allFindings(report, "warnings")], [[], []]);
  assert.equal([report.layout, report.convention], ["brats", "brats"]);
  const [one] = report.cases;
  assert.equal(one!.grid, { size: [8, 9, 10], spacing: [1, 1, 1], orientation: "RAS", brain: [7, 8, 10] });
  // z = 1..7, y = 1..8, x = 0..9: 80 voxels a slice
  assert.equal(
    one!.label!.classes.map(({ value, voxels, ml }) => [value, voxels, +ml.toFixed(6)]),
    [
      [1, 160, 0.16],
      [2, 160, 0.16],
      [4, 160, 0.16],
    ],
  );
  assert.match(printed, /^one: 10x9x8 voxels of 1x1x1 mm, RAS\n {2}t1 0 to \d+ \(\d+\S* ± \S+\), t2 /);
  assert.match(printed, /oedema \(2\) 160 voxels, 0\.16 ml; enhancing tumour \(4\) 160 voxels/);
  assert.match(
    printed,
    /data: BraTS folders: .* for example one\/one_flair\.nii\.gz\nlabels: brats \(0 background, 1 necr/,
  );
  assert.match(printed, /\n2 cases: no problems, no warnings$/);
});

test("one run reports every problem of every file", async ({ root, data }) => {
  const { t2: _, ...withoutT2 } = await whole();
  const { seg: __, ...withoutLabel } = await whole();
  const t1 = await image();
  const moved = IDENTITY.map((row, i) => (i === 0 ? [1, 0, 0, 5] : row));
  const flipped = await volumeFile([8, 9, 10], (z, y) => (z === 0 || y === 0 ? 1 : 0));
  const unpacked = new Uint8Array(gunzipSync(await image()));
  const lying = unpacked.slice();
  new DataView(lying.buffer).setInt16(42, 30000, true); // dim[1]
  const crc = t1.slice();
  crc[crc.length - 6]! ^= 1;

  writeCase(data, "twin", await whole({ t1 }));
  writeCase(data, "copy", await whole({ t1 }));
  const same = await image();
  writeCase(data, "sameTwice", await whole({ t1: same, t2: same }));
  writeCase(data, "noT2", withoutT2);
  writeCase(data, "noLabel", withoutLabel);
  writeCase(data, "nan", await whole({ flair: await volumeFile([8, 9, 10], (z) => (z === 3 ? NaN : z)) }));
  writeCase(data, "zero", await whole({ t2: await volumeFile([8, 9, 10], () => 0) }));
  writeCase(data, "constant", await whole({ t2: await volumeFile([8, 9, 10], (z) => (z ? 7 : 0)) }));
  writeCase(data, "shape", await whole({ t1ce: await volumeFile([8, 9, 11], (z) => z) }));
  writeCase(data, "affine", await whole({ flair: await image(moved) }));
  writeCase(data, "value", await whole({ seg: await label((z) => (z === 2 ? 7 : 0)) }));
  writeCase(data, "both", await whole({ seg: await label((z) => z % 5) }));
  writeCase(data, "half", await whole({ seg: await label((z) => z / 2) }));
  writeCase(data, "outside", await whole({ seg: flipped }));
  writeCase(data, "text", await whole({ t1: new TextEncoder().encode("no NIfTI at all") }));
  writeCase(data, "cut", await whole({ t1: t1.subarray(0, t1.length >> 1) }));
  writeCase(data, "crc", await whole({ t1: crc }));
  writeCase(data, "lying", await whole({ t1: lying }));
  writeCase(data, "empty", await whole({ t1: new Uint8Array() }));
  writeCase(data, "again", await whole());
  write(data, "again/again_t1.nii", unpacked);
  writeCase(data, "Twin", await whole());
  const { t1: linked, ...rest } = await whole();
  writeCase(data, "link", rest);
  write(root, "elsewhere.nii.gz", linked!);
  symlinkSync(join(root, "elsewhere.nii.gz"), join(data, "link/link_t1.nii.gz"));
  symlinkSync(root, join(data, "folder"));
  symlinkSync(join(root, "gone"), join(data, "gone.nii.gz"));

  const [report, printed] = await check(data);
  each(allFindings(report, "problems"), [
    /^copy\/copy_t1\.nii\.gz and twin\/twin_t1\.nii\.gz: expected two different scans, got the same voxels: remove one/,
    /^case sameTwice: sameTwice\/sameTwice_t1.* and sameTwice\/sameTwice_t2.*: one of them has the wrong name$/,
    /^case noT2: expected the modalities t1, t2, .* got only t1, t1ce, flair: it can still train a student of t1\+/,
    /^case noLabel: expected a label, got none$/,
    /^case nan: flair \(.*\): expected finite voxels, got 90 that are NaN or infinite: export/,
    /^case zero: t2 \(.*\): expected an image, got zero in every voxel: remove the file$/,
    /^case constant: t2 \(.*\): expected an image, got one value, 7, in all nonzero voxels: remove the file$/,
    /^case shape: expected one shape, got t1 \(\S+\) 10x9x8, t2 \S+ 10x9x8, t1ce \S+ 11x9x8, flair \S+ 10x9x8, label/,
    /^case affine: flair \(.*\): expected the affine of t1 .* moves a corner by 5\.00 mm/,
    /^case value: label \(.*\): expected labels 0, 1, 2, 4 \(brats\), got .*7 \(80 voxels\)/,
    /^case both: label \(.*\): expected labels 0, 1, 2, 4 \(brats\), got .*: these values fit 2 conventions: use --labels brats2024-gli/,
    /^case half: label \(.*\): expected labels 0, 1, 2, 4 \(brats\), got .*0\.5 \(80 voxels\)/,
    /^case outside: label \(.*\): .* 160 of 160 labelled voxels \(100 %\) where every image is 0: is the label flip/,
    /^case text: text\/text_t1\.nii\.gz: expected a NIfTI file, got only 15 bytes/,
    /^case cut: cut\/cut_t1\.nii\.gz: expected a complete gzip file/,
    /^case crc: crc\/crc_t1\.nii\.gz: expected a complete gzip file/,
    /^case lying: lying\/lying_t1\.nii\.gz: expected .* bytes of voxels \(30000x9x8 float32\), got 2880/,
    /^case empty: empty\/empty_t1\.nii\.gz: expected a NIfTI file, got an empty one/,
    /^case again: expected one t1 file, got again\/again_t1\.nii(\.gz)? and again\/again_t1\.nii(\.gz)?: remove one$/,
    /^data: expected different case names, got Twin and twin: rename one$/,
  ]);
  assert.match(report.warnings.join("\n"), /^folder: is a link to a folder around this one$/m);
  assert.match(report.warnings.join("\n"), /^gone\.nii\.gz: is a link to nothing$/m);
  for (const problem of allFindings(report, "problems")) assert.ok(printed.includes(problem), problem);
  assert.match(printed, /22 cases, 17 of them with problems: 20 problems, \d+ warnings$/);
});

test("odd data that training accepts give warnings", async ({ data }) => {
  const lps = [[-1, 0, 0, 0], [0, -1, 0, 0], ...IDENTITY.slice(2)];
  const thick = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 4, 0], IDENTITY[3]!];
  const labelled = async (affine: number[][], value: (z: number, y: number) => number) =>
    whole({ seg: await volumeFile([8, 9, 10], value, affine) }, affine);
  writeCase(data, "good", await whole());
  writeCase(data, "turned", await labelled(lps, (z, y) => (z > 2 && y > 0 ? 1 : 0)));
  writeCase(data, "thick", await labelled(thick, (z) => (z === 3 ? 2 : 0)));
  writeCase(data, "healthy", await whole({ seg: await label(() => 0) }));
  writeCase(data, "negative", await whole({ t1: await volumeFile([8, 9, 10], (z, y) => (y ? z - 1 : 0)) }));
  writeCase(data, "air", await whole({ t2: await volumeFile([8, 9, 10], (z, _, x) => 1 + z + x) }));
  writeCase(data, "plain", await whole());
  const plain = new Uint8Array(gunzipSync(await image()));
  write(data, "plain/plain_t1.nii.gz", plain);
  write(data, "plain/plain_t1_old.nii.gz", await image());
  write(data, "notes.txt", "no volume");
  const forms = Buffer.from(gunzipSync(await image()));
  forms.writeFloatLE(forms.readFloatLE(268) + 3, 268); // qoffset_x
  writeCase(data, "forms", await whole({ t2: new Uint8Array(gzipSync(forms)) }));
  const [report] = await check(data, { patch: "16,8,8" });
  assert.equal(allFindings(report, "problems"), []);
  each(allFindings(report, "warnings"), [
    /^cases differ in orientation: RAS in 7 \(air, \.\.\.\), LPS in 1 \(turned\): a network sees axes, not anat/,
    /^cases differ in voxel size, mm: 1x1x1 in 7 \(air, \.\.\.\), 1x1x4 in 1 \(thick\)/,
    /^the brain is smaller than the patch of 8x8x16 in 8 of 8 cases \(.*use --patch 16,8,8, which fits into all of them$/,
    /^plain\/plain_t1_old\.nii\.gz: belongs to no case and is ignored: names end in _t1, /,
    /^case thick: voxels of 1x1x4 mm are anisotropic/,
    /^case thick: label \(.*\): 10 of 90 labelled voxels \(11 %\) lie where every image is 0$/,
    /^case healthy: label \(.*\): no voxel is labelled$/,
    /^case negative: t1 \(.*\): 80 voxels are negative/,
    /^case air: t2 \(.*\): 100 % of the voxels are not 0: is the skull stripped/,
    /^case forms: forms\/forms_t2\.nii\.gz: its sform and qform differ by 3 mm at a corner: this program uses the sform/,
    /^case plain: plain\/plain_t1\.nii\.gz: is not gzip-compressed, but its name ends in \.gz/,
  ]);
});

test("ambiguous labels are refused with the flags that fit, and one of these flags decides", async () => {
  const files = {
    "a/a_seg.nii.gz": await label((z) => z % 4),
    "a/a_t1.nii.gz": await image(),
    "b/b_t1n.nii.gz": await image(),
    "b/b_seg.nii.gz": await label((z) => z % 4),
  };
  const options = { modalities: ["t1"], labels: true, patch: [8, 8, 8] } as const;
  const checked = (changes = {}) =>
    checkDataset(sourceOf(files), { ...options, patch: [7, 8, 8], ...changes });
  each(allFindings(await checked(), "problems"), [
    /^data: expected image names that .* got names of BraTS to 2021 \(a\/a_t1.*\) and names of BraTS 2023 \(b\/b_t1n.*\): use --labels/,
    /^labels: expected a known convention, got the values 0, 1, 2, 3: these values fit 3 conventions: use --labels brats2023 \(.* or --labels msd \(.*\)$/,
  ]);
  const settled = await checked({ convention: "brats2023" });
  assert.equal([allFindings(settled, "problems"), settled.why.convention], [[], "set by --labels"]);
});

test("dataset.json: paths that lead out of the folder, missing files, a class that no case has", async () => {
  const training = [
    { image: "./imagesTr/a.nii.gz", label: "./labelsTr/a.nii.gz" },
    { image: "../../secret.nii.gz", label: "/etc/passwd" },
    { image: "./imagesTr/gone.nii.gz", label: "./labelsTr/a.nii.gz" },
  ];
  const labels = { 0: "background", 1: "edema", 2: "non-enhancing tumor", 3: "enhancing tumour" };
  const source = sourceOf({
    "dataset.json": JSON.stringify({ modality: { 0: "T1w" }, labels, training }),
    "imagesTr/a.nii.gz": await image(),
    "labelsTr/a.nii.gz": await label((z) => (z === 2 ? 1 : 0)),
    "labelsTr/b.nii.gz": fullLabel,
  });
  const report = await checkDataset(source, { modalities: ["t1"], labels: true, patch: [7, 8, 8] });
  assert.equal([report.layout, report.convention, report.cases.length], ["msd", "msd", 1]);
  each(allFindings(report, "problems"), [
    /^data\/dataset\.json: expected paths inside the folder, got "\.\.\/\.\.\/secret\.nii\.gz" and "\/etc\/passwd"$/,
    /^data\/dataset\.json: expected the listed file imagesTr\/gone\.nii\.gz, got none: add it, or remove its entry$/,
  ]);
  each(allFindings(report, "warnings"), [
    /^no case has necrotic core \(2\): is the convention msd right\?$/,
    /^no case has enhancing tumour \(3\)/,
    /^labelsTr\/b\.nii\.gz: belongs to no case/,
  ]);
});

test("without a known layout, each file is checked by itself", async () => {
  const source = sourceOf({
    "good.nii.gz": await image(),
    "nan.nii.gz": await volumeFile([2, 2, 2], (z) => (z ? Infinity : 1)),
    "bad.nii": "no NIfTI",
  });
  const report = await checkDataset(source, { modalities: MODALITIES, labels: true, patch: [8, 8, 8] });
  assert.is(report.layout, null);
  each(report.problems, [
    /^data: expected <case>\/<case>_t1\.nii\.gz/,
    /^bad\.nii: expected a NIfTI file/,
    /^nan\.nii\.gz: expected finite voxels, got 4 that are NaN or infinite/,
  ]);
});

test("a file with an I/O error is named, and the other files are checked", async () => {
  const source = sourceOf({
    "a/a_t1.nii.gz": await image(),
    "a/a_t2.nii.gz": "",
    "a/a_seg.nii.gz": fullLabel,
  });
  const failing = {
    ...source,
    read: (path: string) =>
      path.includes("_t2") ? Promise.reject(new Error("EIO: i/o error")) : source.read(path),
  };
  const report = await checkDataset(failing, { modalities: ["t1"], labels: true, patch: [7, 8, 8] });
  assert.equal(allFindings(report, "problems"), [
    "case a: a/a_t2.nii.gz: expected a readable file, got EIO: i/o error",
  ]);
});

test("the command: --json prints the report, exit codes are 0, 2 and 3", async ({ data }) => {
  const { seg: _, t2: __, ...content } = await whole();
  writeCase(data, "one", content);
  const run = (...flags: string[]) => {
    const script = fileURLToPath(new URL("../../cli/check.js", import.meta.url));
    return spawnSync(process.execPath, [script, "--data", data, ...flags], { encoding: "utf8" });
  };
  const refused = run("--json", "--modality", "all");
  assert.is(refused.status, 3);
  const report = JSON.parse(refused.stdout) as CheckReport;
  const problems = allFindings(report, "problems");
  assert.is(problems.length, 3);
  assert.match(problems[0]!, /expected at least 2 .*to train and to test/);
  assert.is(report.cases[0]!.images.t1!.path, "one/one_t1.nii.gz");
  assert.is(allFindings(JSON.parse(run("--json").stdout) as CheckReport, "problems").length, 2);
  const fine = run("--modality", "t1ce", "--unlabelled");
  assert.is(fine.status, 0, fine.stdout + fine.stderr);
  assert.match(fine.stdout, /1 case: no problems, 1 warning\n$/);
  assert.is(run("--modality", "ct").status, 2);
  assert.is(run("--patch", "8,8").status, 2);
});

test.run();
