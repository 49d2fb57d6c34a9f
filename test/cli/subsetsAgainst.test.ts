// subsets.js --against, and the input that it refuses.

import fs from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FILES } from "../../cli/files/stageFolder.ts";
import type { SubsetsOptions } from "../../cli/report/scoreSubsets.ts";
import type { SubsetTable } from "../../trainer/experiments/subsetTable.ts";
import {
  data,
  folder,
  ids,
  prepare,
  read,
  refused,
  run,
  score,
  storeRun,
  tested,
} from "../support/subsetRun.ts";

const test = suite("subsets against");
test.before(prepare);
test.after(() => fs.rmSync(folder, { recursive: true }));

test("--against compares each subset's cases with another run's; its own table differs by 0", async () => {
  const other = join(folder, "other");
  await storeRun(other, 20);
  const theirs = await score({ model: other });
  const ours = await score({ against: other });
  const { against } = read<{ against: { name: string; comparisons: Compared[] } }>(ours.out, "subsets.json");
  assert.is(against.name, "other");
  const t1 = against.comparisons.find(
    (one) => one.subset === "t1" && one.column === "WT" && one.measure === "Dice",
  )!;
  const dice = ({ table }: { table: SubsetTable }) => table.rows[0]!.scores!.Dice.WT.mean;
  assert.ok(Math.abs(t1.difference - (dice(ours) - dice(theirs))) < 1e-12);
  assert.ok(t1.difference !== 0);
  assert.is(t1.cases, 2);
  assert.ok(ours.printed.at(-1)!.includes("less other:"));

  await score({ against: run });
  const same = read<{ against: { comparisons: Compared[] } }>(ours.out, "subsets.json");
  assert.is(same.against.comparisons.filter(({ difference, p }) => difference !== 0 || p !== 1).length, 0);
  assert.is(same.against.comparisons.filter(({ subset }) => subset === "t1ce+flair").length, 8);
});

test("--against refuses a run without a table, and one of other cases, labels or another convention", async () => {
  const bare = join(folder, "bare");
  await storeRun(bare, 2);
  assert.match(
    await refused({ against: bare }),
    /^--against .*bare: expected a run with a finished table, got no subsets\.json: make it first with/,
  );
  await score({});
  const all = await score({ cases: "all", out: join(folder, "all") });
  assert.equal(all.table.cases, ids);
  assert.ok(
    all.printed.some((line) => /1 of 3 cases \(PHANTOM_001\) were used to train or validate/.test(line)),
  );
  assert.match(
    await refused({ against: all.out }),
    /has other cases: it also has PHANTOM_001: make that table again/,
  );
  assert.match(
    await refused({ cases: "all", out: join(folder, "all"), against: run }),
    /has other cases: it lacks PHANTOM_001/,
  );
  assert.match(
    await refused({ against: run, convention: "acn" }),
    /scored by the convention brats, this one by acn/,
  );
});

test("bad input ends with one message, before the device opens, and leaves no folder", async () => {
  const closed = join(folder, "closed");
  const at = (options: Partial<SubsetsOptions>) => refused({ out: closed, ...options });
  const untested = join(folder, "untested");
  await storeRun(untested, 1, { train: ids, val: [], test: [] });
  assert.match(
    await at({ model: untested }),
    /split\.json: expected test cases, got a split without any: .*--cases all/,
  );
  assert.match(
    await at({ cases: "all", split: "x.json" }),
    /^--cases all: takes every case: give no --split$/,
  );
  assert.match(await at({ model: [run, run], out: undefined }), /^--out: name the table's folder/);
  const published = join(folder, "published.safetensors");
  fs.writeFileSync(published, withoutCard(fs.readFileSync(join(run, "student_t1", FILES.best))));
  assert.match(
    await at({ model: published }),
    /published\.safetensors: does not say which modality it sees: say it with --modality$/,
  );
  const file = join(folder, "file");
  fs.writeFileSync(file, "");
  assert.match(await at({ out: file }), /^--out: expected a folder in place of the file .*file$/);
  const unlabelled = join(folder, "unlabelled");
  fs.cpSync(data, unlabelled, { recursive: true });
  for (const id of ids) fs.rmSync(join(unlabelled, id, `${id}_seg.nii.gz`));
  const missing = await at({ data: unlabelled, labels: "brats" });
  for (const id of tested) assert.match(missing, new RegExp(`case ${id}: expected a label`));

  const damaged = join(folder, "damaged");
  fs.cpSync(data, damaged, { recursive: true });
  fs.writeFileSync(join(damaged, tested[0]!, `${tested[0]!}_t1.nii.gz`), "no volume");
  fs.writeFileSync(join(damaged, tested[1]!, `${tested[1]!}_seg.nii.gz`), "no label");
  const problems = await at({ data: damaged });
  assert.match(problems, /PHANTOM_002_t1\.nii\.gz/);
  assert.match(problems, /PHANTOM_003_seg\.nii\.gz/);
  assert.not(fs.existsSync(closed));
});

interface Compared {
  subset: string;
  measure: string;
  column: string;
  cases: number;
  difference: number;
  p: number;
}

/** A checkpoint's bytes without the metadata, as a published one has them. */
function withoutCard(bytes: Buffer): Buffer {
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Record<string, unknown>;
  delete header["__metadata__"];
  const text = Buffer.from(JSON.stringify(header).padEnd(length));
  return Buffer.concat([bytes.subarray(0, 8), text, bytes.subarray(8 + length)]);
}

test.run();
