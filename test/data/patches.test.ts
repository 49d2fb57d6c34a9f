// Training patches: their positions, their augmentation, and that they repeat bit for bit.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { foregroundOf, REMEMBERED } from "../../data/sampling/foreground.ts";
import type { Vec3 } from "../../data/nifti/nifti.ts";
import { PatchSampler, type SamplerState } from "../../data/sampling/patches.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import { Random } from "../../engine/autograd/random.ts";
import { take } from "../support/batches.ts";
import { problemsOf } from "../support/fixtures.ts";

const test = suite("patches");

/**
 * Returns a case whose first modality is 1 + the index of each voxel, and whose second is the negative of
 * that.
 */
function caseOf(id: string, size: Vec3, background?: number[]): Case {
  const voxels = size[0] * size[1] * size[2];
  const source = { size, offset: [0, 0, 0] as Vec3, spacing: [1, 1, 1] as Vec3, header: new Uint8Array(352) };
  return {
    id,
    size,
    channels: ["t1", "flair"],
    images: Float32Array.from({ length: 2 * voxels }, (_, i) => (i < voxels ? 1 + i : -1 - (i - voxels))),
    label: Uint8Array.from({ length: voxels }, (_, i) => (i % 3) + 1),
    source,
    convention: "brats",
    ...(background && { background }),
  };
}
const plain = { augment: "none" } as const;

test("a patch is a piece of image and label, and every corner is drawn, also the last one", async () => {
  const size: Vec3 = [4, 5, 6];
  const sampler = new PatchSampler([caseOf("a", size)], { patch: [3, 3, 3], batch: 2, seed: 1, ...plain });
  const corners = new Set<number>();
  for (let i = 0; i < 200; i++) {
    const { images, label, cases } = await sampler.next();
    assert.equal([images.length, label.length, cases], [2 * 2 * 27, 2 * 27, ["a", "a"]]);
    for (let n = 0; n < 2; n++) {
      const corner = images[n * 54]! - 1;
      corners.add(corner);
      for (let v = 0; v < 27; v++) {
        const at = corner + (Math.floor(v / 9) * 5 + (Math.floor(v / 3) % 3)) * 6 + (v % 3);
        assert.is(images[n * 54 + v], 1 + at);
        assert.is(images[n * 54 + 27 + v], -1 - at);
        assert.is(label[n * 27 + v], (at % 3) + 1);
      }
    }
  }
  const expected = [0, 1].flatMap((z) =>
    [0, 1, 2].flatMap((y) => [0, 1, 2, 3].map((x) => (z * 5 + y) * 6 + x)),
  );
  assert.equal(
    [...corners].sort((a, b) => a - b),
    expected,
  );
});

test("the paper's flips mirror each axis about half the time, images and label together", async () => {
  const sampler = new PatchSampler([caseOf("a", [2, 2, 2])], { patch: [2, 2, 2], batch: 1, seed: 3 });
  const seen = new Map<number, number>();
  for (let i = 0; i < 400; i++) {
    const { images, label } = await sampler.next();
    const [first, ...scales] = unscaled(images);
    seen.set(first!, (seen.get(first!) ?? 0) + 1); // the first voxel shows the mirrored axes
    for (let v = 0; v < 8; v++) {
      assert.is(Math.round(images[v]! / scales[0]!), 1 + (v ^ first!));
      assert.is(Math.round(images[8 + v]! / scales[1]!), -1 - (v ^ first!));
      assert.is(label[v], ((v ^ first!) % 3) + 1);
    }
  }
  assert.is(seen.size, 8);
  for (const count of seen.values()) assert.ok(count > 25 && count < 80, `${count} of 400`);
});

test("the paper's scaling multiplies each modality by 0.9 to 1.1 about half the time, independently", async () => {
  const sampler = new PatchSampler([caseOf("a", [2, 2, 2])], { patch: [2, 2, 2], batch: 1, seed: 5 });
  const factors = (await take(sampler, 400)).map(({ images }) => {
    const [, ...scales] = unscaled(images);
    return scales as [number, number];
  });
  for (const m of [0, 1] as const) {
    const changed = factors.map((factor) => factor[m]).filter((factor) => factor !== 1);
    assert.ok(changed.length > 150 && changed.length < 250, `${changed.length} of 400`);
    assert.ok(Math.min(...changed) >= 0.9 && Math.min(...changed) < 0.91);
    assert.ok(Math.max(...changed) <= 1.1 && Math.max(...changed) > 1.09);
  }
  assert.ok(factors.some(([a, b]) => a !== 1 && b === 1));
});

/**
 * Returns, for a patch of all eight voxels of a `caseOf`, which voxel is first, and each modality's factor.
 */
function unscaled(images: Float32Array): [first: number, ...scales: number[]] {
  const sum = (m: number) => images.subarray(8 * m, 8 * m + 8).reduce((a, b) => a + b, 0);
  const scales = [sum(0) / 36, sum(1) / -36].map((scale) => (Math.abs(scale - 1) < 1e-6 ? 1 : scale));
  return [Math.round(images[0]! / scales[0]!) - 1, ...scales];
}

test("a volume smaller than the patch is padded on both sides, with background and label 0", async () => {
  const small = caseOf("a", [1, 2, 5], [-7, 9]);
  const sampler = new PatchSampler([small], { patch: [3, 4, 3], batch: 1, seed: 2, ...plain });
  const { images, label } = await sampler.next();
  const start = images[(1 * 4 + 1) * 3]! - 1;
  for (let z = 0; z < 3; z++) {
    for (let y = 0; y < 4; y++) {
      for (let x = 0; x < 3; x++) {
        const at = (z * 4 + y) * 3 + x;
        const inside = z === 1 && (y === 1 || y === 2);
        const voxel = start + (y - 1) * 5 + x;
        assert.is(images[at], inside ? 1 + voxel : -7);
        assert.is(images[36 + at], inside ? -1 - voxel : 9);
        assert.is(label[at], inside ? (voxel % 3) + 1 : 0);
      }
    }
  }
});

test("an epoch uses every case once, in a new order; batches are always full and run across epochs", async () => {
  const cases = ["a", "b", "c", "d", "e"].map((id) => caseOf(id, [2, 2, 2]));
  const sampler = new PatchSampler(cases, { patch: [2, 2, 2], batch: 2, seed: 1 });
  assert.is(sampler.batchesPerEpoch, 3);
  const stream = (await take(sampler, 10)).map(({ cases: drawn }) => drawn);
  assert.ok(stream.every((ids) => ids.length === 2));
  const epochs = [0, 1, 2, 3].map((epoch) => stream.flat().slice(5 * epoch, 5 * epoch + 5));
  for (const ids of epochs) assert.equal([...ids].sort(), ["a", "b", "c", "d", "e"]);
  assert.ok(new Set(epochs.map((ids) => ids.join())).size > 1);
});

test("one seed gives one stream, and a stored state resumes it bit for bit", async () => {
  const cases = ["a", "b", "c"].map((id) => caseOf(id, [3, 4, 5]));
  const make = (seed: number) => new PatchSampler(cases, { patch: [2, 2, 4], batch: 2, seed });
  const [first, second, other] = [make(7), make(7), make(8)];
  for (let i = 0; i < 5; i++) {
    const batch = await first.next();
    assert.equal(await second.next(), batch);
    assert.not.equal(await other.next(), batch);
  }
  const stored = JSON.parse(JSON.stringify(first.state())) as ReturnType<PatchSampler["state"]>;
  const expected = await take(first, 3);
  const later = make(7);
  later.restore(stored);
  assert.equal(await take(later, 3), expected);
  assert.equal(await make(7).batch(6), expected[1], "a batch is a function of its number");
  const fewer = new PatchSampler(cases.slice(1), { patch: [2, 2, 2], batch: 1, seed: 1 });
  assert.throws(
    () => fewer.restore(stored),
    /expected the state of 2 cases, got 3 cases: resume with the cases/,
  );
});

test("no cases, a case without label and a case of other modalities are refused by name", async () => {
  const options = { patch: [2, 2, 2] as Vec3, batch: 1, seed: 1 };
  const unlabelled = caseOf("u", [2, 2, 2]);
  delete unlabelled.label;
  const other: Case = { ...caseOf("o", [2, 2, 2]), channels: ["t1", "t2"] };
  const problem = async (cases: Case[]) => (await problemsOf(() => new PatchSampler(cases, options)))[0]!;
  assert.match(await problem([]), /expected at least one case/);
  assert.match(await problem([unlabelled]), /^case u: expected a label/);
  assert.match(
    await problem([caseOf("a", [2, 2, 2]), other]),
    /^case o: expected the modalities t1, flair, got t1, t2/,
  );
});

test("a state of an earlier version is refused: it does not count batches", async () => {
  const sampler = new PatchSampler([caseOf("a", [2, 2, 2])], { patch: [2, 2, 2], batch: 1, seed: 1 });
  const old = { random: [1, 2, 3, 4], order: [0], position: 1 } as unknown as SamplerState;
  const [problem] = await problemsOf(() => sampler.restore(old));
  assert.match(
    problem!,
    /got random, order, position: checkpoints of an earlier version.*train the stage again/,
  );
});

test("the patches of one modality do not depend on which others are loaded", async () => {
  const both = caseOf("a", [5, 6, 7]);
  const voxels = 5 * 6 * 7;
  const alone: Case = { ...both, channels: ["flair"], images: both.images.slice(voxels) };
  for (const augment of ["paper", "nnunet"] as const) {
    const options = { patch: [4, 4, 4] as Vec3, batch: 1, seed: 9, augment };
    const [two, one] = [new PatchSampler([both], options), new PatchSampler([alone], options)];
    for (let i = 0; i < 20; i++) {
      const [a, b] = [await two.next(), await one.next()];
      assert.equal(a.label, b.label);
      if (augment === "paper") assert.equal(a.images.slice(64), b.images);
    }
  }
});

test("the given share of patches shows foreground, each class equally often; the others are anywhere", async () => {
  const size: Vec3 = [12, 12, 12];
  const label = new Uint8Array(12 ** 3);
  label[0] = 1; // a corner: a patch around it has to be moved into the volume
  label.fill(3, 6 * 144, 6 * 144 + 50);
  const sparse: Case = { ...caseOf("a", size), label };
  const count = async (foreground: number, augment: "none" | "paper" | "nnunet", batch = 4) => {
    const sampler = new PatchSampler([sparse], { patch: [2, 3, 2], batch, seed: 4, augment, foreground });
    const found = { patches: 0, 1: 0, 3: 0 };
    for (let i = 0; i < 400 / batch; i++) {
      const { label: drawn } = await sampler.next();
      for (let n = 0; n < batch; n++) {
        const patch = drawn.subarray(12 * n, 12 * n + 12);
        if (patch.some((value) => value > 0)) found.patches++;
        for (const k of [1, 3] as const) if (patch.includes(k)) found[k]++;
      }
    }
    return found;
  };
  for (const augment of ["none", "paper", "nnunet"] as const) {
    const all = await count(1, augment);
    assert.is(all.patches, 400, augment);
    assert.ok(all[1] > 150 && all[1] < 250, `${augment}: ${all[1]} of 400`);
  }
  const chance = (await count(0, "none")).patches;
  assert.ok(chance < 60, `${chance} by chance`);
  for (const batch of [1, 4]) {
    const third = (await count(0.33, "none", batch)).patches;
    const expected = 132 + (chance * 268) / 400;
    assert.ok(Math.abs(third - expected) < 40, `batch ${batch}: ${third}, expected about ${expected}`);
  }
  const empty: Case = { ...sparse, label: new Uint8Array(12 ** 3) };
  const sampler = new PatchSampler([empty], { patch: [2, 2, 2], batch: 2, seed: 4, foreground: 1 });
  assert.is((await sampler.next()).label.length, 16);
});

test("an even sample of a large class is kept, over its whole extent", () => {
  const size: Vec3 = [40, 50, 60];
  const label = new Uint8Array(40 * 50 * 60).fill(2);
  label.fill(0, 0, 3000);
  const random = new Random(3);
  const drawn = Array.from({ length: 20_000 }, () => {
    const [z, y, x] = foregroundOf(label, size, random)!;
    return (z * 50 + y) * 60 + x;
  });
  const different = new Set(drawn);
  assert.ok(different.size > 8000 && different.size <= REMEMBERED, `${different.size}`);
  assert.ok(Math.min(...drawn) >= 3000 && Math.min(...drawn) < 3100 && Math.max(...drawn) > 119_900);
  const mean = drawn.reduce((a, b) => a + b, 0) / drawn.length;
  assert.ok(Math.abs(mean - 61_500) < 1000, `${mean}`);
});

test.run();
