// Version 2 of the phantom: varied cases that depend on nothing but their seed and index, and labels by
// raters whose errors lie around the consensus.

import { createHash } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { isTestCase, type PhantomCase, phantomCase } from "../../data/phantom/phantom.ts";
import { MODALITIES } from "../../data/datasets/source.ts";

const seed = 3;
const made = (index: number, size: number, raters = true) =>
  phantomCase({ seed, index, size, version: 2, raters });
const rated = Array.from({ length: 40 }, (_, index) => made(index, 28));
const agreed = rated.map((_, index) => made(index, 28, false));
const volume = ({ label }: PhantomCase, values: number[]) =>
  label.filter((value) => values.includes(value)).length;
const brain = ({ images }: PhantomCase) => images.t1.filter((value) => value > 0).length;

test("equal options give the same bytes, on every machine", () => {
  // If this changes, add a version, so that folders made before are not mistaken for the same.
  const digests = [1, 2].map((index) =>
    digest(phantomCase({ seed: 7, index, size: [20, 24, 28], version: 2 })),
  );
  assert.equal(digests, ["2dfaeaa5a35a6bbe", "81b2a71065c8ffbc"]);
});

test("the four images share one brain, are 0 outside it, and it contains the whole label", () => {
  for (const { images, label } of rated) {
    for (let at = 0; at < label.length; at++) {
      const inside = MODALITIES.filter((modality) => images[modality][at] !== 0).length;
      assert.ok(inside === 0 || inside === 4);
      assert.ok(inside === 4 || label[at] === 0);
    }
    const part = brain({ images } as PhantomCase) / label.length;
    assert.ok(part > 0.2 && part < 0.4, `the brain fills ${part} of the box`);
    assert.ok(label.every((value) => [0, 1, 2, 4].includes(value)));
  }
});

test("tumours vary in size, number and enhancement, and all of them can be seen", () => {
  const parts = agreed.map((one) => volume(one, [1, 2, 4]) / brain(one));
  assert.ok(Math.min(...parts) > 0 && parts.some((part) => part < 0.01), "some are tiny");
  assert.ok(parts.some((part) => part > 0.1) && Math.max(...parts) < 0.25, "some are large");
  const plain = agreed.filter((one) => volume(one, [4]) === 0).length;
  assert.ok(plain >= 3 && plain <= 15, `${plain} of 40 do not enhance`);
  const solid = agreed.filter((one) => volume(one, [4]) > 4 * volume(one, [1])).length;
  assert.ok(solid >= 3 && solid <= 25, `${solid} of 40 enhance nearly everywhere`);
  const several = agreed.filter((one) => islands(one).length > 1).length;
  assert.ok(several >= 5, `${several} of 40 have islands`);
});

test("scanners differ in gain, noise and contrast", () => {
  const spread = (values: number[]) => Math.max(...values) / Math.min(...values);
  for (const modality of MODALITIES) {
    const middles = rated.map(({ images }) => quantile([...images[modality]].filter(Boolean), 0.5));
    assert.ok(spread(middles) > 3, `${modality}: gain ${spread(middles)}`);
    const grains = rated.map(({ images }, i) => grainOf(images[modality]) / middles[i]!);
    assert.ok(spread(grains) > 1.5, `${modality}: grain ${spread(grains)}`);
  }
});

test("raters change no image, and the label of no test case", () => {
  for (const [index, one] of rated.entries()) {
    for (const modality of MODALITIES) assert.equal(one.images[modality], agreed[index]!.images[modality]);
    const same = Buffer.compare(one.label, agreed[index]!.label) === 0;
    assert.is(same, isTestCase(index), `case ${index}`);
  }
});

test("raters differ from the consensus by about a voxel, in both directions", () => {
  const training = rated.map((_, index) => index).filter((index) => !isTestCase(index));
  const scores = training.map((index) => dice(rated[index]!, agreed[index]!));
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  assert.ok(mean > 0.75 && mean < 0.93, `mean Dice of the whole tumour ${mean}`);
  const logs = training.map((index) =>
    Math.log(volume(rated[index]!, [1, 2, 4]) / volume(agreed[index]!, [1, 2, 4])),
  );
  const [more, less] = [logs.filter((log) => log > 0.1).length, logs.filter((log) => log < -0.1).length];
  assert.ok(more >= 4 && less >= 4, `${more} larger and ${less} smaller of ${logs.length}`);
});

test("raters miss islands", () => {
  const missed = agreed.filter((one, index) =>
    islands(one).some((island) => island.length > 3 && island.every((at) => rated[index]!.label[at] === 0)),
  );
  assert.ok(missed.length > 0);
});

test.run();

function digest({ images, label }: PhantomCase): string {
  const hash = createHash("sha256");
  for (const values of [...MODALITIES.map((modality) => images[modality]), label]) {
    hash.update(new Uint8Array(values.buffer));
  }
  return hash.digest("hex").slice(0, 16);
}

function dice(a: PhantomCase, b: PhantomCase): number {
  const both = a.label.filter((value, at) => value > 0 && b.label[at]! > 0).length;
  return (2 * both) / (volume(a, [1, 2, 4]) + volume(b, [1, 2, 4]));
}

/** Returns the voxels of each part of the tumour that hangs together by faces. */
function islands({ label, size: [, H, W] }: PhantomCase): number[][] {
  const seen = new Set<number>();
  const found: number[][] = [];
  for (let start = 0; start < label.length; start++) {
    if (label[start] === 0 || seen.has(start)) continue;
    const island = [start];
    seen.add(start);
    for (let i = 0; i < island.length; i++) {
      for (const step of [1, -1, W, -W, W * H, -W * H]) {
        const at = island[i]! + step;
        if (!label[at] || seen.has(at)) continue;
        seen.add(at);
        island.push(at);
      }
    }
    found.push(island);
  }
  return found;
}

function quantile(values: number[], q: number): number {
  return values.sort((a, b) => a - b)[Math.floor(q * values.length)]!;
}

/** Returns the median difference of a voxel in the brain from the mean of its two neighbours. */
function grainOf(image: Int16Array): number {
  const inside = [...image.keys()].filter((at) => image[at - 1]! > 0 && image[at]! > 0 && image[at + 1]! > 0);
  return quantile(
    inside.map((at) => Math.abs(image[at]! - (image[at - 1]! + image[at + 1]!) / 2)),
    0.5,
  );
}
