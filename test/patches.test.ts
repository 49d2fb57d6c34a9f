// Training patches: where they come from, how they are varied, and that they can be repeated bit for bit.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Vec3 } from "../data/nifti.ts";
import { PatchSampler, splitCases } from "../data/patches.ts";
import type { Case } from "../data/preprocess.ts";
import { problemsOf } from "./fixtures.ts";

const test = suite("patches");

/** A case whose first modality says where each voxel is (1 + its index), the second the negative of that. */
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
const plain = { flips: false, scaling: false };

test("a patch is a piece of image and label, and every corner comes, the last one too", () => {
  const size: Vec3 = [4, 5, 6];
  const sampler = new PatchSampler([caseOf("a", size)], { patch: [3, 3, 3], batch: 2, seed: 1, ...plain });
  const corners = new Set<number>();
  for (let i = 0; i < 200; i++) {
    const { images, label, cases } = sampler.next();
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

test("flips mirror each axis about half the time, images and label together", () => {
  const sampler = new PatchSampler([caseOf("a", [2, 2, 2])], {
    patch: [2, 2, 2],
    batch: 1,
    seed: 3,
    scaling: false,
  });
  const seen = new Map<number, number>();
  for (let i = 0; i < 400; i++) {
    const { images, label } = sampler.next();
    const first = images[0]! - 1; // which voxel came to the front says which axes were turned
    seen.set(first, (seen.get(first) ?? 0) + 1);
    for (let v = 0; v < 8; v++) {
      assert.is(images[v], 1 + (v ^ first));
      assert.is(images[8 + v], -1 - (v ^ first));
      assert.is(label[v], ((v ^ first) % 3) + 1);
    }
  }
  assert.is(seen.size, 8);
  for (const count of seen.values()) assert.ok(count > 25 && count < 80, `${count} of 400`);
});

test("scaling multiplies each modality by 0.9 to 1.1 about half the time, on its own", () => {
  const sampler = new PatchSampler([caseOf("a", [2, 2, 2])], {
    patch: [2, 2, 2],
    batch: 1,
    seed: 5,
    flips: false,
  });
  const factors = Array.from({ length: 400 }, () => {
    const { images, label } = sampler.next();
    assert.is(label[1], 2);
    assert.ok(Math.abs(images[7]! / images[0]! - 8) < 1e-5, "one factor for the whole modality");
    return [images[0]!, -images[8]!] as const;
  });
  for (const m of [0, 1] as const) {
    const changed = factors.map((factor) => factor[m]).filter((factor) => factor !== 1);
    assert.ok(changed.length > 150 && changed.length < 250, `${changed.length} of 400`);
    assert.ok(Math.min(...changed) >= 0.9 && Math.min(...changed) < 0.91);
    assert.ok(Math.max(...changed) <= 1.1 && Math.max(...changed) > 1.09);
  }
  assert.ok(factors.some(([a, b]) => a !== 1 && b === 1));
});

test("a volume smaller than the patch is padded on both sides, with background and label 0", () => {
  const small = caseOf("a", [1, 2, 5], [-7, 9]);
  const sampler = new PatchSampler([small], { patch: [3, 4, 3], batch: 1, seed: 2, ...plain });
  const { images, label } = sampler.next();
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

test("an epoch shows every case once, in an order of its own; batches run on and are always full", () => {
  const cases = ["a", "b", "c", "d", "e"].map((id) => caseOf(id, [2, 2, 2]));
  const sampler = new PatchSampler(cases, { patch: [2, 2, 2], batch: 2, seed: 1 });
  assert.is(sampler.batchesPerEpoch, 3);
  const stream = Array.from({ length: 10 }, () => sampler.next().cases);
  assert.ok(stream.every((ids) => ids.length === 2));
  const epochs = [0, 1, 2, 3].map((epoch) => stream.flat().slice(5 * epoch, 5 * epoch + 5));
  for (const ids of epochs) assert.equal([...ids].sort(), ["a", "b", "c", "d", "e"]);
  assert.ok(new Set(epochs.map((ids) => ids.join())).size > 1);
});

test("one seed gives one stream, and a stored state goes on bit for bit", () => {
  const cases = ["a", "b", "c"].map((id) => caseOf(id, [3, 4, 5]));
  const make = (seed: number) => new PatchSampler(cases, { patch: [2, 2, 4], batch: 2, seed });
  const [first, second, other] = [make(7), make(7), make(8)];
  for (let i = 0; i < 5; i++) {
    const batch = first.next();
    assert.equal(second.next(), batch);
    assert.not.equal(other.next(), batch);
  }
  const stored = JSON.parse(JSON.stringify(first.state())) as ReturnType<PatchSampler["state"]>;
  const expected = [first.next(), first.next(), first.next()];
  other.restore(stored);
  assert.equal([other.next(), other.next(), other.next()], expected);
  const fewer = new PatchSampler(cases.slice(1), { patch: [2, 2, 2], batch: 1, seed: 1 });
  assert.throws(() => fewer.restore(stored), /expected the state of 2 cases, got 3/);
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

test("a split has every case once, in the published shares, whatever the order of the ids", () => {
  const ids = Array.from({ length: 285 }, (_, i) => `Brats18_${i}`);
  const split = splitCases(ids, { seed: 0 });
  assert.equal([split.train.length, split.val.length, split.test.length], [200, 28, 57]);
  assert.equal([...split.train, ...split.val, ...split.test].sort(), [...ids].sort());
  assert.equal(splitCases([...ids].reverse(), { seed: 0 }), split);
  assert.not.equal(splitCases(ids, { seed: 1 }), split);
});

test("a split of few cases still trains and tests; one case, or one twice, is refused", async () => {
  for (const [count, expected] of [
    [2, [1, 0, 1]],
    [3, [2, 0, 1]],
    [10, [7, 1, 2]],
  ] as const) {
    const {
      train,
      val,
      test: held,
    } = splitCases(
      Array.from({ length: count }, (_, i) => `${i}`),
      { seed: 4 },
    );
    assert.equal([train.length, val.length, held.length], expected);
  }
  const none = splitCases(["a", "b", "c"], { seed: 1, fractions: [0, 0.5, 0.5] });
  assert.equal([none.train.length, none.test.length], [1, 2]);
  assert.match((await problemsOf(() => splitCases(["a"], { seed: 1 })))[0]!, /at least 2 cases.*got 1/);
  assert.match((await problemsOf(() => splitCases(["a", "b", "a"], { seed: 1 })))[0]!, /got a twice/);
});

test.run();
