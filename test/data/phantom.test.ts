// Version 1 of the phantom: its voxels depend only on the options, its label agrees with the images, and no
// single image shows all regions.

import { createHash } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { spacingOf } from "../../data/nifti/geometry.ts";
import { type PhantomCase, phantomCase } from "../../data/phantom/phantom.ts";
import { MODALITIES, type Modality } from "../../data/datasets/source.ts";

const size = 48;
const rimmed = [0, 1, 2].map((index) => phantomCase({ seed: 1, index, size }));
const solid = phantomCase({ seed: 1, index: 9, size }); // no necrosis
const rimless = phantomCase({ seed: 1, index: 10, size });
const cases = [...rimmed, solid, rimless];

test("equal options give the same bytes, on every machine", () => {
  const options = { seed: 7, index: 2, size: [20, 24, 28] } as const;
  assert.is(digest(phantomCase(options)), digest(phantomCase(options)));
  // If these change, add a version, so that folders made before are not mistaken for the same.
  assert.is(digest(phantomCase(options)), "f2d9c3f11ee2b942");
  assert.is(digest(phantomCase({ ...options, version: 1 })), "f2d9c3f11ee2b942");
  assert.equal(cases.map(digest), [
    "e0781967d15b50ef",
    "1a4c790ddf170b66",
    "b83774b3655c95bd",
    "266450a093ab1f74",
    "0201328e7d02d45f",
  ]);
});

test("another seed and another index give another head", () => {
  const digests = [
    { seed: 1, index: 0, size: 20 },
    { seed: 1, index: 1, size: 20 },
    { seed: 2, index: 0, size: 20 },
    { seed: 2 ** 32 - 1, index: 0, size: 20 },
  ].map((options) => digest(phantomCase(options)));
  assert.is(new Set(digests).size, 4);
});

test("the four images share one brain, are 0 outside it, and it contains the whole label", () => {
  for (const { images, label } of cases) {
    let brain = 0;
    for (let at = 0; at < label.length; at++) {
      const inside = MODALITIES.filter((modality) => images[modality][at] !== 0).length;
      assert.ok(inside === 0 || inside === 4);
      assert.ok(inside === 4 || label[at] === 0);
      if (inside === 4) brain++;
    }
    const part = brain / label.length;
    assert.ok(part > 0.2 && part < 0.36, `the brain fills ${part} of the box`);
  }
});

test("labels are BraTS's, and the whole tumour takes 3 to 14 percent of the brain", () => {
  for (const { images, label } of cases) {
    assert.equal(
      [...new Set(label)].filter((value) => ![0, 1, 2, 4].includes(value)),
      [],
    );
    const part = count(label, (value) => value > 0) / count(images.t1, (value) => value > 0);
    assert.ok(part > 0.03 && part < 0.14, `the tumour takes ${part} of the brain`);
  }
});

test("the rim encloses the necrosis, and oedema the core except beside fluid", () => {
  for (const { images, label, size } of rimmed) {
    // Around necrosis: rim or more necrosis. Around the core: oedema, fluid without tumour, or the outside.
    const inner = neighbours(label, size, (value) => value === 1);
    const outer = neighbours(label, size, (value) => value === 1 || value === 4);
    const open = inner.filter((at) => images.t1[at] !== 0 && label[at] !== 4).length;
    const bare = outer.filter((at) => images.t1[at] !== 0 && label[at] !== 2).length;
    assert.ok(
      open <= 0.1 * inner.length,
      `${open} of ${inner.length} neighbours of the necrosis are not rim`,
    );
    assert.ok(bare <= 0.3 * outer.length, `${bare} of ${outer.length} neighbours of the core are not oedema`);
  }
});

test("the rim is bright in T1ce, and like the oedema in T1, T2 and FLAIR", () => {
  for (const scan of rimmed) {
    const excess = (modality: Modality) => mean(scan, modality, 4) / mean(scan, modality, 2);
    assert.ok(excess("t1ce") > 1.35, `t1ce: ${excess("t1ce")}`);
    for (const modality of ["t1", "t2", "flair"] as const) {
      assert.ok(Math.abs(excess(modality) - 1) < 0.12, `${modality}: ${excess(modality)}`);
    }
  }
});

test("oedema is brighter than white matter in FLAIR and T2, and invisible in T1 and T1ce", () => {
  for (const scan of cases) {
    for (const modality of ["flair", "t2"] as const) {
      const excess = mean(scan, modality, 2) / healthyTissue(scan, modality, 1 / 3).mean;
      assert.ok(excess > 1.35, `${modality}: ${excess}`);
    }
    for (const modality of ["t1", "t1ce"] as const) {
      const tissue = healthyTissue(scan, modality, 2 / 3);
      const excess = (mean(scan, modality, 2) - tissue.mean) / tissue.deviation;
      assert.ok(Math.abs(excess) < 1, `${modality}: ${excess} deviations`);
    }
  }
});

test("necrosis is darker than oedema in T1 and T1ce, and brighter in T2", () => {
  for (const scan of [...rimmed, rimless]) {
    const excess = (modality: Modality) => mean(scan, modality, 1) / mean(scan, modality, 2);
    assert.ok(excess("t1") < 0.9 && excess("t1ce") < 0.95, `t1 ${excess("t1")}, t1ce ${excess("t1ce")}`);
    assert.ok(excess("t2") > 1.1, `t2 ${excess("t2")}`);
  }
});

test("some cases have no rim, some no necrosis", () => {
  assert.equal([...new Set(rimless.label)].sort(), [0, 1, 2]);
  assert.equal([...new Set(solid.label)].sort(), [0, 2, 4]);
});

test("a case is the same head at every size, in a box of 160 mm", () => {
  const [D, H, W] = [24, 48, 96] as const;
  const other = phantomCase({ seed: 1, index: 0, size: [D, H, W] });
  assert.equal(spacingOf(other.affine), [160 / 24, 160 / 48, 160 / 96]);
  let both = 0;
  for (let at = 0; at < other.label.length; at++) {
    const x = Math.floor(((at % W) * size) / W);
    const y = Math.floor(at / W) % H;
    const z = Math.floor((Math.floor(at / (W * H)) * size) / D);
    if (other.label[at]! > 0 && rimmed[0]!.label[x + size * (y + size * z)]! > 0) both++;
  }
  const whole = count(other.label, (value) => value > 0) + count(rimmed[0]!.label, (value) => value > 0);
  assert.ok((2 * both) / whole > 0.8, `Dice ${(2 * both) / whole}`);
});

test("sizes, seeds and indices out of range are refused by name", () => {
  assert.throws(
    () => phantomCase({ seed: 1, index: 0, size: 8 }),
    /size: expected an integer from 16 to 512, got 8/,
  );
  assert.throws(() => phantomCase({ seed: 0.5, index: 0, size: 32 }), /seed: expected/);
  assert.throws(() => phantomCase({ seed: 1, index: -1, size: 32 }), /index: expected/);
});

test.run();

function digest({ images, label }: PhantomCase): string {
  const hash = createHash("sha256");
  for (const volume of [...MODALITIES.map((modality) => images[modality]), label]) {
    hash.update(new Uint8Array(volume.buffer));
  }
  return hash.digest("hex").slice(0, 16);
}

function count(volume: Uint8Array | Int16Array, accept: (value: number) => boolean): number {
  let voxels = 0;
  for (const value of volume) if (accept(value)) voxels++;
  return voxels;
}

function mean({ images, label }: PhantomCase, modality: Modality, value: number): number {
  let sum = 0;
  let voxels = 0;
  for (let at = 0; at < label.length; at++) {
    if (label[at] !== value) continue;
    sum += images[modality][at]!;
    voxels++;
  }
  return sum / voxels;
}

// Statistics of the brightest part of the healthy brain in T1: the brightest third is white matter, the
// brightest two thirds are everything except fluid.
function healthyTissue({ images, label }: PhantomCase, modality: Modality, part: number) {
  const healthy = [...label.keys()].filter((at) => label[at] === 0 && images.t1[at] !== 0);
  healthy.sort((a, b) => images.t1[b]! - images.t1[a]!);
  const values = healthy.slice(0, part * healthy.length).map((at) => images[modality][at]!);
  const average = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - average) ** 2, 0) / values.length;
  return { mean: average, deviation: Math.sqrt(variance) };
}

// Returns the voxels outside a region with one of their six neighbours inside.
function neighbours(
  label: Uint8Array,
  [, H, W]: PhantomCase["size"],
  inside: (value: number) => boolean,
): number[] {
  const found: number[] = [];
  for (let at = W * H; at < label.length - W * H; at++) {
    if (inside(label[at]!)) continue;
    if ([1, -1, W, -W, W * H, -W * H].some((step) => inside(label[at + step]!))) found.push(at);
  }
  return found;
}
