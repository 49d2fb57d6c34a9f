// Batches where some cases lack contrasts: each holds cases that have all, or cases that lack some. Where
// nothing is absent, no bit moves.

import { createHash } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadCase } from "../../data/check/loadCase.ts";
import { type Modality, openDataset } from "../../data/datasets/datasets.ts";
import type { Vec3 } from "../../data/nifti/geometry.ts";
import { phantomFiles } from "../../data/phantom/files.ts";
import { type Case, withAbsent } from "../../data/preparation/preprocess.ts";
import { BatchOrder } from "../../data/sampling/order.ts";
import { type Batch, PatchSampler } from "../../data/sampling/patches.ts";
import { take } from "../support/batches.ts";
import { problemsOf, sourceOf } from "../support/fixtures.ts";

const CHANNELS: Modality[] = ["t1", "flair"];

/** A case of whole numbers; one that lacks T1 has only FLAIR's. */
function caseOf(id: string, { lacks = false, size = [4, 5, 6] as Vec3, background = 0 } = {}): Case {
  const voxels = size[0] * size[1] * size[2];
  const source = { size, offset: [0, 0, 0] as Vec3, spacing: [1, 1, 1] as Vec3, header: new Uint8Array(352) };
  const channels = lacks ? CHANNELS.slice(1) : CHANNELS;
  const prepared: Case = {
    id,
    size,
    channels,
    images: Float32Array.from({ length: channels.length * voxels }, (_, i) => 1 + (i % voxels)),
    label: Uint8Array.from({ length: voxels }, (_, i) => i % 4),
    source,
    convention: "brats",
    background: channels.map(() => background),
  };
  return withAbsent(prepared, CHANNELS);
}

const whole = ["a", "b", "c", "d", "e"].map((id) => caseOf(id));
const lacking = ["x", "y", "z"].map((id) => caseOf(id, { lacks: true }));
const mixed = [whole[0]!, lacking[0]!, ...whole.slice(1, 3), ...lacking.slice(1), ...whole.slice(3)];
const OPTIONS = { patch: [3, 3, 4] as Vec3, batch: 2, seed: 7 };

function sha(batches: readonly Batch[]): string {
  const hash = createHash("sha256");
  for (const { images, label, cases } of batches)
    hash.update(new Uint8Array(images.buffer)).update(label).update(cases.join());
  return hash.digest("hex").slice(0, 16);
}

test("where no case lacks anything, all batches are those of earlier versions", async () => {
  for (const [lastBatch, expected] of [
    ["full", "be7dad08af80ee1c"],
    ["short", "5645d6437aef1302"],
  ] as const) {
    const sampler = new PatchSampler(whole, { ...OPTIONS, lastBatch, foreground: 0.3 });
    const batches = await take(sampler, 9);
    assert.is(sha(batches), expected, lastBatch);
    assert.ok(batches.every((batch) => !("absent" in batch)));
    assert.equal(sampler.state(), { batches: 9, cases: 5 });
  }
});

test("a batch holds cases that have all contrasts, or cases that lack some, in a mixed order", async () => {
  const sampler = new PatchSampler(mixed, OPTIONS);
  assert.is(sampler.batchesPerEpoch, 4);
  const batches = await take(sampler, 80);
  for (const { cases, absent } of batches) {
    const lacks = cases.map((id) => "xyz".includes(id));
    assert.is(new Set(lacks).size, 1, cases.join());
    assert.equal(absent, lacks[0] ? [["t1"], ["t1"]] : undefined);
  }
  const places = batches.flatMap(({ absent }, i) => (absent ? [i % 4] : []));
  assert.equal([...new Set(places)].sort(), [0, 1, 2, 3], "anywhere in an epoch");
  const uses = new Map<string, number>();
  for (const id of batches.flatMap(({ cases }) => cases)) uses.set(id, (uses.get(id) ?? 0) + 1);
  assert.equal([...uses.values()], Array<number>(8).fill(20), "all cases are used equally often");
});

test("with short batches, an epoch uses every case once", async () => {
  const sampler = new PatchSampler(mixed, { ...OPTIONS, lastBatch: "short" });
  assert.is(sampler.batchesPerEpoch, 5);
  for (let epoch = 0; epoch < 6; epoch++) {
    const batches = await take(sampler, 5);
    assert.equal(batches.flatMap(({ cases }) => cases).sort(), [..."abcdexyz"]);
    for (const { cases } of batches) assert.is(new Set(cases.map((id) => "xyz".includes(id))).size, 1);
  }
});

test("one case that lacks a contrast, among many, is used as often as each of them", () => {
  const order = new BatchOrder([true, ...Array<boolean>(9).fill(false)], {
    batch: 4,
    seed: 3,
    lastBatch: "full",
  });
  assert.is(order.batchesPerEpoch, 3);
  const uses = Array<number>(10).fill(0);
  for (let number = 0; number < 500; number++) for (const i of order.casesOf(number)) uses[i]!++;
  for (const count of uses) assert.ok(Math.abs(count - 200) <= 4, uses.join());
});

test("a state resumes in the middle of an epoch, and one of other gaps is refused", async () => {
  const first = new PatchSampler(mixed, OPTIONS);
  const batches = await take(first, 9);
  const later = new PatchSampler(mixed, OPTIONS);
  later.restore({ batches: 6, cases: 8, lacking: 3 });
  assert.equal(await take(later, 3), batches.slice(6));
  assert.equal(first.state(), { batches: 9, cases: 8, lacking: 3 });
  const whole8 = [...whole, ...["x", "y", "z"].map((id) => caseOf(id))];
  const [problem] = await problemsOf(() => new PatchSampler(whole8, OPTIONS).restore(first.state()));
  assert.match(problem!, /expected the state of 8 cases, got 8 cases \(3 lack contrasts\): resume with/);
});

test("no augmentation or padding changes an absent channel: it stays 0", async () => {
  const cases = [caseOf("x", { lacks: true, size: [2, 5, 6], background: -3 })];
  for (const augment of ["paper", "nnunet", "none"] as const) {
    const sampler = new PatchSampler(cases, { ...OPTIONS, augment });
    const flair = new Set<number>();
    for (const { images } of await take(sampler, 60)) {
      for (const n of [0, 1]) {
        const voxels = images.subarray(72 * n, 72 * n + 36);
        assert.ok(
          voxels.every((value) => Object.is(value, 0)),
          augment,
        );
        for (const value of images.subarray(72 * n + 36, 72 * n + 72)) flair.add(value);
      }
    }
    assert.ok(flair.has(-3) && flair.size > 10, "the other channel is as always");
  }
});

test("an absent channel does not change the patches of the others", async () => {
  const alone: Case = { ...caseOf("x", { lacks: true }), channels: ["flair"] };
  delete alone.absent;
  alone.images = alone.images.slice(alone.images.length / 2);
  const [two, one] = [
    new PatchSampler([caseOf("x", { lacks: true })], OPTIONS),
    new PatchSampler([alone], OPTIONS),
  ];
  for (let i = 0; i < 10; i++) {
    const [a, b] = [await two.next(), await one.next()];
    assert.equal(a.label, b.label);
    for (const n of [0, 1])
      assert.equal(a.images.slice(72 * n + 36, 72 * n + 72), b.images.slice(36 * n, 36 * n + 36));
  }
});

test("a case without a contrast is loaded where that is allowed, cropped to the scans that it has", async () => {
  const files = await phantomFiles({ seed: 3, index: 0, size: [16, 16, 16] });
  files.delete("PHANTOM_001/PHANTOM_001_t1.nii.gz");
  const source = sourceOf(Object.fromEntries(files));
  const dataset = await openDataset(source);
  const load = (modalities: Modality[], required?: Modality[]) =>
    loadCase(source, dataset, dataset.cases[0]!, modalities, { labels: true, millimetres: false, required });
  const prepared = await load(["t1", "t1ce", "flair"], ["flair"]);
  const has = await load(["t1ce", "flair"]);
  const voxels = prepared.size.reduce((a, b) => a * b, 1);
  assert.equal([prepared.channels, prepared.absent], [["t1", "t1ce", "flair"], ["t1"]]);
  assert.equal([prepared.size, prepared.label], [has.size, has.label]);
  assert.ok(prepared.images.subarray(0, voxels).every((value) => value === 0));
  assert.equal(prepared.images.slice(voxels), has.images);
  assert.not(has.absent);
  assert.equal(await problemsOf(() => load(["t1", "flair"])), [
    "case PHANTOM_001: expected the modalities t1, flair, got only t2, t1ce, flair: it can still train a student of " +
      "t2+t1ce+flair or fewer of these",
  ]);
  assert.equal(await problemsOf(() => load(["t1"], [])), [
    "case PHANTOM_001: expected one of t1, got t2, t1ce, flair",
  ]);
});

test.run();
