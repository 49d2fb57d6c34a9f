// Label values that mean different tissue from year to year, as the check of a data set sees them.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { allFindings, checkDataset } from "../../data/check/check.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import { sourceOf, volumeFile } from "../support/fixtures.ts";

const test = suite("labelYears");

let drawn = 0;
/** An image of 10x9x8 voxels with air around it, unlike every other. */
const image = () => {
  const offset = 100 * ++drawn;
  return volumeFile([8, 9, 10], (z, y, x) => (z > 0 && y > 0 ? offset + ((3 * z + y * x) % 7) : 0));
};

/** Fails unless each pattern matches one line, and each line one pattern. */
function each(lines: readonly string[], patterns: readonly RegExp[]): void {
  assert.is(lines.length, patterns.length, lines.join("\n"));
  for (const [i, pattern] of patterns.entries()) assert.match(lines[i]!, pattern);
}

/** Checks cases of these ids, named as since 2023, whose labels have all of `values`. */
async function checked(ids: string[], values: number[], convention?: LabelConvention) {
  const files: Record<string, Uint8Array> = {};
  for (const id of ids) {
    files[`${id}/${id}-t1n.nii.gz`] = await image();
    files[`${id}/${id}-seg.nii.gz`] = await volumeFile([8, 9, 10], (z, y) =>
      y > 0 && z > 0 ? values[z % values.length]! : 0,
    );
  }
  const options = { modalities: ["t1"], labels: true, patch: [7, 8, 8] } as const;
  const report = await checkDataset(sourceOf(files), { ...options, convention });
  return { report, problems: allFindings(report, "problems"), warnings: allFindings(report, "warnings") };
}

test("labels of BraTS 2024: never the advice to read a 4 as enhancing tumour", async () => {
  const gli = await checked(["BraTS-GLI-00001-100", "BraTS-GLI-00002-100"], [0, 1, 2, 3, 4]);
  assert.equal([gli.report.convention, gli.problems, gli.warnings], ["brats2024-gli", [], []]);
  each((await checked(["BraTS-GLI-00001-000"], [0, 1, 2, 4])).problems, [
    /expected labels 0, 1, 2, 3 \(brats2023\), got .*4 .*: these values fit brats2024-gli: use --labels brats2024-gli \(.*4 resection cavity\)$/,
  ]);
  each((await checked(["BraTS-PED-00001-000"], [0, 1, 2, 4])).problems, [
    /^data: .* use --labels brats2023 \(.*\) or --labels brats2024-ped \(/,
    /^labels: expected a known convention, got the values 0, 1, 2, 4: these values fit brats2024-ped: use/,
  ]);
  each((await checked(["BraTS-PED-00001-000"], [0, 1, 2, 3])).problems, [
    /^data: .* use --labels brats2023 \(.*\) or --labels brats2024-ped \(/,
    /^labels: .* these values fit 2 conventions: use --labels brats2023 \(.*\) or --labels brats2024-ped \([^)]*\)$/,
  ]);
  each((await checked(["BraTS-PED-00001-000"], [0, 1, 2, 4], "brats")).warnings, [
    /^labels: files are named as in BraTS since 2023, where no label 4 is enhancing tumour: is the convention bra/,
  ]);
  const ped = await checked(["BraTS-PED-00001-000"], [0, 1, 2, 3, 4], "brats2024-ped");
  assert.equal([ped.problems, ped.warnings], [[], []]);
  assert.equal(
    ped.report.cases[0]!.label!.classes.map(({ name, value }) => `${value} ${name}`),
    ["1 enhancing tumour", "2 non-enhancing tumour", "3 cystic component", "4 oedema"],
  );
});

test.run();
