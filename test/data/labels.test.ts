// The meaning of label values: conventions, advice on values that do not fit, and values stored as floats.

import { gunzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  CLASS_NAMES,
  CONVENTION_NAMES,
  fittingConventions,
  fromClasses,
  type LabelConvention,
  mergedLabels,
  toClasses,
} from "../../data/datasets/labels.ts";
import { readNifti, writeNifti } from "../../data/nifti/nifti.ts";
import { REGIONS } from "../../model/scoring/regions.ts";
import { IDENTITY, problemsOf } from "../support/fixtures.ts";

const test = suite("labels");

test("every convention maps to the network's classes and back", () => {
  const expected: Record<LabelConvention, { classes: number[]; values: number[]; back?: number[] }> = {
    brats: { values: [0, 1, 2, 4], classes: [0, 2, 3, 1] },
    brats2023: { values: [0, 1, 2, 3], classes: [0, 2, 3, 1] },
    // the cavity is background; a cyst is core, which is written as non-enhancing tumour
    "brats2024-gli": { values: [0, 1, 2, 3, 4], classes: [0, 2, 3, 1, 0], back: [0, 1, 2, 3, 0] },
    "brats2024-ped": { values: [0, 1, 2, 3, 4], classes: [0, 1, 2, 2, 3], back: [0, 1, 2, 2, 4] },
    msd: { values: [0, 1, 2, 3], classes: [0, 3, 2, 1] },
  };
  for (const convention of CONVENTION_NAMES) {
    const { values, classes, back = values } = expected[convention];
    const found = toClasses(Float32Array.from(values), convention, "seg");
    assert.equal([...found], classes);
    const written = fromClasses(found, convention);
    assert.equal([...written], back);
    assert.equal([...toClasses(Float32Array.from(written), convention, "seg")], classes);
  }
  assert.equal(CONVENTION_NAMES.flatMap(mergedLabels), [
    "label 4 (resection cavity) counts as background",
    "label 2 (non-enhancing tumour) counts as necrotic core",
    "label 3 (cystic component) counts as necrotic core",
  ]);
  assert.equal(
    REGIONS.TC.map((c) => CLASS_NAMES[c]),
    ["enhancing tumour", "necrotic core"],
  );
});

test("a label outside the convention is refused; the message has its values and the conventions that fit", async () => {
  const problem = async (values: number[], convention: (typeof CONVENTION_NAMES)[number]) =>
    (await problemsOf(() => toClasses(Float32Array.from(values), convention, "a_seg.nii.gz")))[0]!;
  assert.is(
    await problem([0, 0, 1, 2, 3, 3], "brats"),
    "a_seg.nii.gz: expected labels 0, 1, 2, 4 (brats), " +
      "got 0 (2 voxels), 1 (1 voxels), 2 (1 voxels), 3 (2 voxels): these values fit 3 conventions: " +
      "use --labels brats2023 (1 necrotic core, 2 oedema, 3 enhancing tumour), --labels brats2024-ped " +
      "(1 enhancing tumour, 2 non-enhancing tumour, 3 cystic component, 4 oedema) or " +
      "--labels msd (1 oedema, 2 necrotic core, 3 enhancing tumour)",
  );
  assert.match(
    await problem([0, 1, 4], "msd"),
    /fit 3 conventions: use --labels brats \(.*4 enh.*\), --labels brats2024-gli \(.* or --labels brats2024-ped \(/,
  );
  assert.match(
    await problem([0, 3, 4], "brats"),
    /got .*3 \(1 voxels\), 4 .* brats2024-gli .* brats2024-ped /,
  );
  assert.match(await problem([0, 7], "brats"), /7 \(1 voxels\): no convention has all of these/);
  assert.match(await problem([0, 0.5], "brats"), /0\.5 \(1 voxels\): no convention/);
  assert.match(await problem([0, NaN], "brats"), /NaN \(1 voxels\): no convention/);
  assert.match(
    await problem(
      Array.from({ length: 50 }, (_, i) => i),
      "brats",
    ),
    /42 more values/,
  );
});

test("names since 2023 rule out that 4 is enhancing tumour, and the id's part says more", () => {
  const fitting = (values: number[], ...names: string[]) => fittingConventions(values, names).join(" ");
  const three = "brats brats2024-gli brats2024-ped";
  assert.is(fitting([0, 1, 2, 4], "a/a_seg.nii.gz"), three);
  assert.is(fitting([0, 1, 2, 4], "a/a_t1.nii.gz", "b/b-t1n.nii.gz"), three, "names of both years");
  for (const suffix of ["t1n", "t1c", "t2w", "t2f"])
    assert.is(fitting([0, 1, 2, 4], `a/a-${suffix}.nii.gz`), "brats2024-gli brats2024-ped");
  assert.is(fitting([0, 1, 2, 4], "BraTS-GLI-00001-000-seg.nii.gz"), "brats2024-gli");
  assert.is(fitting([0, 1, 2, 4], "BraTS-PED-00001-000_t1.nii.gz"), "brats2024-ped");
  assert.is(fitting([0, 1, 2, 4], "BraTS-MET-00001-000-seg.nii.gz"), "brats2024-gli");
  assert.is(fitting([0, 1, 2, 3], "BraTS-GLI-00001-000-seg.nii.gz"), "brats2023");
  assert.is(fitting([0, 1, 2, 3], "BraTS-PED-00001-000-seg.nii.gz"), "brats2023 brats2024-ped");
});

test("labels scaled by a slope may be off by half its step, but never by as much as is ambiguous", async () => {
  for (const slope of [4 / 255, 0.1, 0.0039, 1 / 3, 0.48]) {
    const stored = Int16Array.of(0, 1, 2, 4).map((label) => Math.round(label / slope));
    const file = gunzipSync(await writeNifti({ data: stored, size: [1, 1, 4], affine: IDENTITY }));
    file.writeFloatLE(slope, 112);
    const { data, step } = await readNifti(file, "seg");
    assert.equal([...toClasses(data, "brats", "seg", { step })], [0, 2, 3, 1], `slope ${slope}`);
  }
  const classes = (value: number, step: number) => () =>
    toClasses(Float32Array.of(value), "brats", "seg", { step });
  assert.equal([...classes(1.0039, 4 / 255)()], [2]);
  assert.equal([...classes(-0.2, 0.5)()], [0]);
  for (const [value, step] of [
    [1.0039, 0], // floats
    [1.01, 4 / 255],
    [1.3, 0.6],
    [1.2, 1],
    [0.5, 0.5],
  ] as const)
    assert.match(
      (await problemsOf(classes(value, step)))[0]!,
      /no convention has all/,
      `${value} by ${step}`,
    );
});

test("float labels within 0.001 of an integer are accepted", () => {
  assert.equal(
    [...toClasses(Float32Array.of(0.0004, 3.9995, 1.0009, -0.0004), "brats", "seg")],
    [0, 1, 2, 0],
  );
});

test.run();
