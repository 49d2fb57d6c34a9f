// Patches without a tumour: where they are, how many, and that no other patch moves.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Vec3 } from "../../data/nifti/nifti.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import { PatchSampler } from "../../data/sampling/patches.ts";
import { take } from "../support/batches.ts";

const test = suite("healthy patches");
const SIZE: Vec3 = [12, 12, 24];

/** A case whose voxels are 1 in the brain (x below 20), with a tumour in the first `extent` of x. */
function caseOf(extent: number): Case {
  const x = (i: number) => i % SIZE[2];
  const voxels = SIZE[0] * SIZE[1] * SIZE[2];
  return {
    id: `extent ${extent}`,
    size: SIZE,
    channels: ["t1"],
    images: Float32Array.from({ length: voxels }, (_, i) => (x(i) < 20 ? 1 : 0)),
    label: Uint8Array.from({ length: voxels }, (_, i) => (x(i) < extent ? 1 + (i % 3) : 0)),
    source: { size: SIZE, offset: [0, 0, 0], spacing: [1, 1, 1], header: new Uint8Array(352) },
    convention: "brats",
  };
}

const OPTIONS = { patch: [6, 6, 6] as Vec3, batch: 4, seed: 3, augment: "none" } as const;
const patches = ({ images, label }: { images: Float32Array; label: Uint8Array }) =>
  [0, 1, 2, 3].map((n) => [
    `${images.subarray(n * 216, (n + 1) * 216)}`,
    `${label.subarray(n * 216, (n + 1) * 216)}`,
  ]);
const shows = (label: Uint8Array, n: number) => label.subarray(n * 216, (n + 1) * 216).some((c) => c > 0);

test("half of each batch shows no tumour, with its centre in the brain; the others are as without", async () => {
  const cases = [caseOf(14)];
  const usual = await take(new PatchSampler(cases, OPTIONS), 20);
  const half = await take(new PatchSampler(cases, { ...OPTIONS, healthy: 0.5 }), 20);
  for (const [i, made] of half.entries()) {
    for (const n of [0, 1]) {
      assert.not.ok(shows(made.label, n), `batch ${i}, patch ${n}`);
      assert.is(made.images[n * 216 + (3 * 6 + 3) * 6 + 3], 1, "the centre is in the brain");
    }
    assert.equal(patches(made).slice(2), patches(usual[i]!).slice(2));
  }
  assert.ok(usual.some(({ label }) => shows(label, 0) || shows(label, 1)));
  const again = await take(new PatchSampler(cases, { ...OPTIONS, healthy: 0.5 }), 20);
  assert.equal(again.map(patches), half.map(patches), "from the seed");
});

test("a share that is not whole holds on average", async () => {
  const made = await take(new PatchSampler([caseOf(14)], { ...OPTIONS, batch: 1, healthy: 0.5 }), 200);
  const usual = await take(new PatchSampler([caseOf(14)], { ...OPTIONS, batch: 1 }), 200);
  const moved = made.filter(({ label }, i) => `${label}` !== `${usual[i]!.label}`).length;
  const many = usual.filter(({ label }) => shows(label, 0)).length;
  assert.ok(Math.abs(moved / many - 0.5) < 0.12, `${moved} of ${many}`);
});

test("where there is no room, or a share of 0, patches are as without", async () => {
  const options = { ...OPTIONS, healthy: 0.5 };
  for (const cases of [[caseOf(24)], [caseOf(19)]]) {
    const usual = await take(new PatchSampler(cases, OPTIONS), 5);
    assert.equal((await take(new PatchSampler(cases, options), 5)).map(patches), usual.map(patches));
  }
  const usual = await take(new PatchSampler([caseOf(14)], OPTIONS), 5);
  const none = await take(new PatchSampler([caseOf(14)], { ...OPTIONS, healthy: 0 }), 5);
  assert.equal(none.map(patches), usual.map(patches));
  const large = { ...options, patch: [16, 16, 32] as Vec3 };
  assert.is(
    (await take(new PatchSampler([caseOf(2)], large), 1)).length,
    1,
    "a volume smaller than the patch",
  );
});

test.run();
