// Lesion-wise scores as BraTS 2023: fixtures counted by hand, and properties of any masks.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { components, dilate, type LesionRule, lesionMetrics } from "../../model/scoring/lesions.ts";
import type { MaskPair } from "../../model/scoring/masks.ts";
import { caseMetrics } from "../../model/scoring/metrics.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";

const unit: Vec3 = [1, 1, 1];
const row: Vec3 = [5, 5, 40];

/** The rule without a smallest lesion: small fixtures count. */
const all: LesionRule = { growth: 3, ignoredVolume: 0, penalty: 374 };

/** A mask of [D,H,W] that marks boxes, each by its half-open ranges along d, h and w. */
function boxes(size: Vec3, ...ranges: [number, number][][]): Uint8Array {
  const [, H, W] = size;
  return new Uint8Array(size[0] * H * W).map((_, i) => {
    const voxel = [Math.floor(i / (H * W)), Math.floor(i / W) % H, i % W];
    return ranges.some((box) => box.every(([low, high], k) => voxel[k]! >= low && voxel[k]! < high)) ? 1 : 0;
  });
}

/** Lesions along W in `row`: each a 5x5 bar from w = low to high. */
function bars(...ends: [number, number][]): Uint8Array {
  const across: [number, number] = [0, 5];
  return boxes(row, ...ends.map((end) => [across, across, end]));
}

/** Numbers in [0, 1) that are the same on every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
}

function randomPair(random: () => number, size: Vec3, density: number): MaskPair {
  const mask = () => new Uint8Array(size[0] * size[1] * size[2]).map(() => (random() < density ? 1 : 0));
  return { prediction: mask(), reference: mask(), size };
}

test("one lesion found, one missed, one false: the mean of Dice 2/3, 0 and 0, and of its HD95, 374 and 374", () => {
  // Found: 2 of 4 slices of 25 voxels are predicted: 2·50 / (100 + 50). It has 100 - 2·9 = 82 surface voxels
  // (the bar's 2 inner slices have 16 each, the ends 25); the prediction's 50 are all surface.
  const reference = bars([0, 4], [15, 19]);
  const prediction = bars([0, 2], [30, 33]);
  const { dice, hd95, ...counts } = lesionMetrics({ prediction, reference, size: row }, unit);
  assert.equal(counts, { tp: 1, fp: 1, fn: 1, ignored: 0 });
  assert.ok(Math.abs(dice - 2 / 3 / 3) < 1e-15, `Dice ${dice}`);
  // Distances: reference 25 + 16 of 0, 16 of 1, 25 of 2; prediction 25 + 16 of 0 and 9 inner voxels of slice
  // 1 at 1. In all 132; rank 0.95·131 = 124.45 lies among the 25 of 2.
  assert.ok(Math.abs(hd95 - (2 + 374 + 374) / 3) < 1e-12, `HD95 ${hd95}`);
});

test("reference pieces that grow together within 3 steps each are one lesion, farther apart two", () => {
  // Between w = 3 and w = 3 + gap: each side grows by 3, and touching extents are one (26-connected).
  for (const [gap, lesions] of [
    [1, 1],
    [6, 1],
    [7, 2],
  ] as const) {
    const reference = bars([0, 3], [3 + gap, 6 + gap]);
    const prediction = bars([0, 3]);
    const { tp, fn, fp, dice } = lesionMetrics({ prediction, reference, size: row }, unit);
    assert.equal([tp, fn, fp], lesions === 1 ? [1, 0, 0] : [1, 1, 0], `gap ${gap}`);
    // One lesion of 150 voxels, 75 found: 2/3. Two of 75, one found: 1 and 0.
    assert.ok(Math.abs(dice - (lesions === 1 ? 2 / 3 : 1 / 2)) < 1e-15, `gap ${gap}: Dice ${dice}`);
  }
});

test("a predicted piece within a lesion's dilated extent is its own, however far it reaches; beyond, false", () => {
  const reference = bars([0, 4]);
  // w = 6 is the last slice that 3 steps reach from w = 3.
  const near = lesionMetrics({ prediction: bars([6, 9]), reference, size: row }, unit);
  assert.equal([near.tp, near.fp, near.fn, near.dice], [1, 0, 0, 0]);
  assert.ok(near.hd95 > 2 && near.hd95 < 9, `${near.hd95} mm apart, no penalty`);
  const far = lesionMetrics({ prediction: bars([7, 9]), reference, size: row }, unit);
  assert.equal(far, { dice: 0, hd95: 374, tp: 0, fp: 1, fn: 1, ignored: 0 });
});

test("one predicted piece over two lesions is compared with each as a whole", () => {
  // 16 slices predicted, lesions of 4 each, 8 apart: 2·4 / (4 + 16) for both.
  const pair = { prediction: bars([0, 16]), reference: bars([0, 4], [12, 16]), size: row };
  const { dice, tp, fp } = lesionMetrics(pair, unit);
  assert.equal([tp, fp], [2, 0]);
  assert.ok(Math.abs(dice - 8 / 20) < 1e-15);
});

test("reference lesions of at most 50 mm³ are not scored, found or missed; false pieces of one voxel are", () => {
  const reference = bars([0, 2]); // 50 voxels
  const none = new Uint8Array(reference.length);
  const at = (spacing: Vec3, prediction: Uint8Array) =>
    lesionMetrics({ prediction, reference, size: row }, spacing);
  assert.equal(at(unit, none), { dice: 1, hd95: 0, tp: 0, fp: 0, fn: 0, ignored: 1 });
  assert.equal(at(unit, bars([0, 1])), { dice: 1, hd95: 0, tp: 0, fp: 0, fn: 0, ignored: 1 });
  assert.equal(at([1, 1, 1.02], none), { dice: 0, hd95: 374, tp: 0, fp: 0, fn: 1, ignored: 0 });
  const stray = boxes(row, [
    [2, 3],
    [2, 3],
    [39, 40],
  ]);
  assert.equal(at(unit, stray), { dice: 0, hd95: 374, tp: 0, fp: 1, fn: 0, ignored: 1 });
});

test("lesion-wise HD95 is in mm of its axis, and a lesion keeps its surface at the array's border", () => {
  const spacing: Vec3 = [5, 3, 2];
  const reference = bars([0, 4]);
  const { hd95 } = lesionMetrics({ prediction: bars([0, 2]), reference, size: row }, spacing);
  assert.is(hd95, 4);
  const size: Vec3 = [4, 4, 4];
  const full = new Uint8Array(64).fill(1);
  const perfect = { dice: 1, hd95: 0, tp: 1, fp: 0, fn: 0, ignored: 0 };
  assert.equal(lesionMetrics({ prediction: full, reference: full, size }, unit), perfect);
});

test("pieces are 26-connected, a step of dilation goes over faces and edges, not corners", () => {
  const size: Vec3 = [7, 7, 7];
  const centre = boxes(size, [
    [3, 4],
    [3, 4],
    [3, 4],
  ]);
  const count = (mask: Uint8Array): number => mask.reduce((sum, value) => sum + value, 0);
  assert.is(count(dilate(centre, size, 1)), 19);
  assert.is(dilate(centre, size, 1)[(2 * 7 + 2) * 7 + 2], 0);
  // Three steps: max |x| <= 3 and sum |x| <= 6 of 7³ = 343, so without the 10 offsets at each of 8 corners.
  assert.is(count(dilate(centre, size, 3)), 343 - 8 * 10);
  const corner = boxes(
    size,
    [
      [0, 1],
      [0, 1],
      [0, 1],
    ],
    [
      [1, 2],
      [1, 2],
      [1, 2],
    ],
    [
      [3, 4],
      [1, 2],
      [1, 2],
    ],
  );
  const { count: pieces, labels } = components(corner, size);
  assert.is(pieces, 2);
  assert.equal([labels[0], labels[57], labels[(3 * 7 + 1) * 7 + 1]], [1, 1, 2]);
});

test("growing a mask equals growing each of its voxels: the surface alone suffices", () => {
  const random = generator(3);
  for (const density of [0.02, 0.3, 0.8]) {
    const { reference, size } = randomPair(random, [6, 7, 9], density);
    const expected = new Uint8Array(reference.length);
    reference.forEach((marked, i) => {
      if (!marked) return;
      const alone = new Uint8Array(reference.length);
      alone[i] = 1;
      dilate(alone, size, 2).forEach((reached, at) => (expected[at]! |= reached));
    });
    assert.equal(dilate(reference, size, 2), expected);
  }
});

test("background around the masks changes no lesion: they may be cut to their box", () => {
  const random = generator(11);
  for (let round = 0; round < 20; round++) {
    const { prediction, reference, size } = randomPair(random, [5, 6, 12], [0.01, 0.03, 0.2][round % 3]!);
    const wide = size.map((length) => length + 8) as unknown as Vec3;
    const pad = (mask: Uint8Array): Uint8Array => {
      const padded = new Uint8Array(wide[0] * wide[1] * wide[2]);
      mask.forEach((marked, i) => {
        const [d, h, w] = [
          Math.floor(i / (size[1] * size[2])),
          Math.floor(i / size[2]) % size[1],
          i % size[2],
        ];
        padded[((d + 4) * wide[1] + h + 4) * wide[2] + w + 4] = marked;
      });
      return padded;
    };
    const padded = { prediction: pad(prediction), reference: pad(reference), size: wide };
    assert.equal(lesionMetrics({ prediction, reference, size }, unit, all), lesionMetrics(padded, unit, all));
  }
});

test("a case measures the lesions of each region; with one lesion, found, they are the region's own scores", () => {
  const reference = bars([10, 20]).map((marked, i) => (marked ? 1 + (i % 3) : 0));
  const prediction = bars([12, 21]).map((marked, i) => (marked ? 1 + (i % 3) : 0));
  const { regions } = caseMetrics("a", prediction, reference, { size: row, spacing: [1, 2, 1] });
  const { WT } = regions;
  assert.equal([WT.lesions.dice, WT.lesions.hd95], [WT.dice, WT.hd95]);
  assert.equal([regions.ET.lesions.tp, regions.ET.lesions.fn, regions.ET.lesions.fp], [1, 0, 0]);
});

test.run();
