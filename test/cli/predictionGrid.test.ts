// Predictions have the grid of their source: every byte of the header that places voxels is the source's, in
// NIfTI-1 and -2 and either byte order; and label values have the meaning that they have in the data set.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  CONVENTION_NAMES,
  LABEL_CONVENTIONS,
  type LabelConvention,
  toClasses,
} from "../../data/datasets/labels.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { Random } from "../../engine/index.ts";
import { likeliest } from "../../model/inference/predict.ts";
import { label, predictQuietly, records } from "../support/predicting.ts";
import { storeStage } from "../support/storedRun.ts";

const test = suite("predictionGrid");
const folder = mkdtempSync(join(tmpdir(), "predictionGrid-"));
const SIZE = [9, 12, 10] as const; // D, H, W
const VOXELS = SIZE[0] * SIZE[1] * SIZE[2];
let model = "";

test.before(async () => {
  model = await storeStage(folder, { name: "student_t1", modalities: ["t1"], seed: 7 });
});
test.after(() => rmSync(folder, { recursive: true }));

interface Form {
  version: 1 | 2;
  little: boolean;
  channels?: number;
}
const FORMS: Form[] = [
  { version: 1, little: true },
  { version: 1, little: false },
  { version: 2, little: true },
  { version: 2, little: false },
];

/** The bytes of a header that place the grid: voxel sizes, units, codes, quaternion, offsets, sform. */
// prettier-ignore
const GRID = { 1: [[76, 108], [123, 124], [252, 328]], 2: [[104, 168], [344, 496], [500, 504]] } as const;

/** A file of int16 voxels, 0 outside a box: oblique, sheared, with unusual codes, and a patient's name. */
function fileOf({ version, little, channels = 1 }: Form): Uint8Array {
  const header = version === 1 ? 352 : 544;
  const bytes = new Uint8Array(header + 2 * channels * VOXELS);
  const view = new DataView(bytes.buffer);
  const [float, integer] =
    version === 1
      ? [
          (at: number, v: number) => view.setFloat32(at, v, little),
          (at: number, v: number) => view.setInt16(at, v, little),
        ]
      : [
          (at: number, v: number) => view.setFloat64(at, v, little),
          (at: number, v: number) => view.setInt32(at, v, little),
        ];
  const { magic, dim, type, pixdim, offset, units, code, quaternion, rows, name } =
    version === 1
      ? {
          magic: 344,
          dim: 40,
          type: 70,
          pixdim: 76,
          offset: 108,
          units: 123,
          code: 252,
          quaternion: 256,
          rows: 280,
          name: 148,
        }
      : {
          magic: 4,
          dim: 16,
          type: 12,
          pixdim: 104,
          offset: 168,
          units: 500,
          code: 344,
          quaternion: 352,
          rows: 400,
          name: 240,
        };
  view.setInt32(0, version === 1 ? 348 : 540, little);
  bytes.set(new TextEncoder().encode(`n+${version}`), magic);
  const [d, h, w] = SIZE;
  for (const [i, length] of [channels > 1 ? 4 : 3, w, h, d, channels, 1, 1, 1].entries()) {
    if (version === 1) view.setInt16(dim + 2 * i, length, little);
    else view.setBigInt64(dim + 8 * i, BigInt(length), little);
  }
  view.setInt16(type, 4, little);
  view.setInt16(type + 2, 16, little);
  const wide = version === 1 ? 4 : 8;
  [-1, 0.937, 1.25, 3.1, 2.5, 0, 0, 0].forEach((edge, i) => float(pixdim + wide * i, edge));
  if (version === 1) view.setFloat32(offset, header, little);
  else view.setBigInt64(offset, BigInt(header), little);
  if (version === 1) bytes[units] = 2 | 8;
  else view.setInt32(units, 2 | 8, little);
  integer(code, 2);
  integer(code + (version === 1 ? 2 : 4), 4);
  [0.1, -0.2, 0.05, 12.5, -7.25, 33.125].forEach((value, i) => float(quaternion + wide * i, value));
  const affine = [-0.9, 0.1, 0.3, 90.7, 0.05, 1.2, -0.4, -126.1, 0.02, 0.3, 3.05, -72.3];
  affine.forEach((value, i) => float(rows + wide * i, value));
  bytes.set(new TextEncoder().encode("Jane Doe"), name);
  const random = new Random(9);
  for (let i = 0; i < channels * VOXELS; i++) {
    const [z, y, x] = [Math.floor(i / (h * w)) % d, Math.floor(i / w) % h, i % w];
    const brain = z > 0 && y > 1 && y < 11 && x > 0 && x < 9;
    view.setInt16(header + 2 * i, brain ? 100 + random.integer(900) : 0, little);
  }
  return bytes;
}

function write(path: string, content: Uint8Array | string): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
}

/** Predicts the one case of a folder; returns its label file, its probabilities, and their convention. */
async function predicted(input: string, labels?: LabelConvention) {
  const output = mkdtempSync(join(folder, "predicted-"));
  await predictQuietly({ model, input, output, saveProbabilities: true, ...(labels && { labels }) });
  const id = records(output)[0]!.case;
  return {
    labels: records(output)[0]!.labels,
    label: gunzipSync(readFileSync(label(output, id))),
    probabilities: gunzipSync(readFileSync(join(output, `${id}_probabilities.nii.gz`))),
  };
}

for (const form of FORMS) {
  const { version, little } = form;
  const title = `NIfTI-${version}, ${little ? "little" : "big"}-endian`;
  test(`${title}: the grid's bytes are the source's, and no name is copied`, async () => {
    const input = join(folder, title, "X");
    const source = fileOf(form);
    write(join(input, "X_t1.nii"), source);
    const { label, probabilities } = await predicted(input);
    for (const file of [label, probabilities]) {
      for (const [from, to] of GRID[version]) {
        assert.equal([...file.subarray(from, to)], [...source.subarray(from, to)], `bytes ${from} to ${to}`);
      }
      assert.equal([...file.subarray(0, 4)], [...source.subarray(0, 4)], "and byte order");
      assert.not.ok(file.includes("Jane"));
      const [read, image] = [await readNifti(file, "file"), await readNifti(source, "source")];
      assert.equal([read.size, read.affine, read.spacing], [image.size, image.affine, image.spacing]);
    }
    const [classes, found] = [
      await readNifti(label, "label"),
      await readNifti(probabilities, "probabilities"),
    ];
    assert.equal([classes.channels, found.channels], [1, 4]);
    assert.equal([...toClasses(classes.data, "brats", "label")], [...likeliest(found.data, 4)]);
    assert.is(found.data[0], 1, "outside the brain's box all is background");
    assert.ok(new Set(classes.data).size > 2);
  });
}

test("labels are in the data set's convention: by its names, its dataset.json, or --labels", async () => {
  const layouts: Record<string, [string, Form, string?]> = {
    brats: ["X/X_t1.nii", FORMS[0]!],
    brats2023: ["X/X-t1n.nii", FORMS[0]!],
    msd: [
      "imagesTr/X.nii",
      { version: 1, little: true, channels: 2 },
      JSON.stringify({
        modality: { 0: "T1w", 1: "T2w" },
        labels: { 0: "background", 1: "edema", 2: "non-enhancing tumor", 3: "enhancing tumour" },
        training: [{ image: "./imagesTr/X.nii", label: "./labelsTr/X.nii" }],
      }),
    ],
  };
  const classes: number[][] = [];
  for (const [convention, [path, form, json]] of Object.entries(layouts)) {
    const input = join(folder, `layout-${convention}`);
    write(join(input, path), fileOf(form));
    if (json) {
      write(join(input, "dataset.json"), json);
      write(join(input, "labelsTr/X.nii"), ""); // listed, but never read
    }
    const { label, labels, probabilities } = await predicted(input);
    assert.is(labels, convention);
    const { data } = await readNifti(label, convention);
    classes.push([...toClasses(data, labels, convention)]);
    assert.equal(classes.at(-1), [...likeliest((await readNifti(probabilities, "p")).data, 4)]);
    assert.equal([...new Set(classes.at(-1))].sort(), [0, 1, 2, 3], "all classes are there");
    assert.equal(new Set(data), new Set(Object.keys(LABEL_CONVENTIONS[labels]).map(Number)));
  }
  assert.equal(classes[1], classes[0]);
  for (const convention of CONVENTION_NAMES) {
    const given = await predicted(join(folder, "layout-brats"), convention);
    assert.is(given.labels, convention);
    assert.equal(
      [...toClasses((await readNifti(given.label, "given")).data, convention, "given")],
      classes[0],
    );
  }
});

test.run();
