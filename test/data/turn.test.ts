// Turning volumes between orientations: the same place in the patient, whatever the order of the file's axes.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { commonGrid, differingGrids, gridWarnings } from "../../data/check/grids.ts";
import { loadCase } from "../../data/check/loadCase.ts";
import { openDataset } from "../../data/datasets/datasets.ts";
import type { Affine, Vec3 } from "../../data/nifti/geometry.ts";
import { readNifti, writeLabelLike } from "../../data/nifti/nifti.ts";
import { isOrientation, orientationOf } from "../../data/nifti/orientation.ts";
import { cropOf, gridSpacing, uncrop, uncropProbabilities } from "../../data/preparation/preprocess.ts";
import { placeOf } from "../../data/preparation/place.ts";
import { inverse, turnBetween, turnedSize, turnedVolume } from "../../data/preparation/turn.ts";
import { sourceOf, volumeFile } from "../support/fixtures.ts";

const test = suite("turn");

const ENDS = ["RL", "AP", "SI"];
const ORDERS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]; // prettier-ignore
const ALL = ORDERS.flatMap((order) =>
  [0, 1, 2, 3, 4, 5, 6, 7].map((signs) => order.map((world, i) => ENDS[world]![(signs >> i) & 1]!).join("")),
);

/** The extent of the head along left-right, back-front, down-up in voxels, and their size in mm. */
const EXTENT = [4, 5, 6];
const MM = [1, 2, 3];

/** A grid of this orientation around the head: its affine and size [D, H, W]. */
function gridOf(orientation: string): { affine: Affine; size: Vec3 } {
  const worlds = [...orientation].map((end) => ENDS.findIndex((pair) => pair.includes(end)));
  const signs = [...orientation].map((end, i) => (ENDS[worlds[i]!]![0] === end ? 1 : -1));
  const affine = [0, 1, 2].map((world) => {
    const axis = worlds.indexOf(world);
    const row = [0, 0, 0, signs[axis]! > 0 ? 0 : (EXTENT[world]! - 1) * MM[world]!];
    row[axis] = signs[axis]! * MM[world]!;
    return row;
  });
  const [x, y, z] = worlds.map((world) => EXTENT[world]!) as [number, number, number];
  return { affine: [...affine, [0, 0, 0, 1]], size: [z, y, x] };
}

/** A file of this orientation in which a place in the patient has the same value in every orientation. */
function fileOf(orientation: string, value: (place: number[]) => number): Promise<Uint8Array> {
  const { affine, size } = gridOf(orientation);
  return volumeFile(
    size,
    (z, y, x) =>
      value(
        [0, 1, 2].map((row) => [x, y, z, 1].reduce((sum, at, column) => sum + affine[row]![column]! * at, 0)),
      ),
    affine,
  );
}

const brain = ([x = 0, y = 0, z = 0]: number[]) => (x > 0 && z < 15 ? 10 + x + 7 * y + 31 * z : 0);
const tumour = ([x = 0, y = 0]: number[]) => (x > 0 && y > 3 ? [1, 2, 4][x % 3]! : 0);

async function load(orientation: string, to?: string) {
  const source = sourceOf({
    "a/a_t1.nii.gz": await fileOf(orientation, brain),
    "a/a_seg.nii.gz": await fileOf(orientation, (place) => (brain(place) ? tumour(place) : 0)),
  });
  const dataset = await openDataset(source);
  return loadCase(source, dataset, dataset.cases[0]!, ["t1"], { labels: true, orientation: to });
}

test("the turn between any two of the 48 orientations puts every place where it belongs", async () => {
  assert.is(new Set(ALL).size, 48);
  assert.ok(ALL.every(isOrientation));
  assert.not.ok(["RAR", "RA", "RASS", "ras", "XYZ"].some(isOrientation));
  for (const from of ALL) {
    const { affine, size } = gridOf(from);
    assert.is(orientationOf(affine), from);
    const { data } = await readNifti(await fileOf(from, brain), from);
    for (const to of ["RAS", "LPS", "PIR", "SLA"]) {
      const turn = turnBetween(from, to);
      const expected = await readNifti(await fileOf(to, brain), to);
      if (!turn) {
        assert.is(from, to);
        continue;
      }
      const turned = turnedVolume(data, size, turn);
      assert.equal(turnedSize(size, turn), expected.size);
      assert.equal([...turned], [...expected.data], `${from} to ${to}`);
      const back = inverse(turn);
      assert.equal([...turnedVolume(turned, expected.size, back)], [...data], `${to} back to ${from}`);
      assert.equal(back, turnBetween(to, from));
    }
  }
});

test("a case is prepared in the orientation that is wanted; its label goes back into the file's grid", async () => {
  const lps = await load("LPS");
  assert.is(lps.turn, undefined);
  for (const orientation of ["PIR", "RAS", "IAR"]) {
    const turned = await load(orientation, "LPS");
    assert.equal([turned.size, gridSpacing(turned)], [lps.size, lps.source.spacing]);
    const far = Math.max(...turned.images.map((value, i) => Math.abs(value - lps.images[i]!)));
    assert.ok(far < 1e-5, `${orientation}: ${far}`); // the sum for the mean runs in the file's order
    assert.equal([...turned.label!], [...lps.label!]);
    const own = await load(orientation);
    assert.equal(turned.source, own.source);
    assert.equal(cropOf(turned), { size: own.size, offset: own.source.offset });
    const whole = uncrop(turned.label!, turned);
    assert.equal([...whole], [...uncrop(own.label!, own)]);
    const file = await readNifti(await writeLabelLike(turned.source.header, whole, turned.source.size), "p");
    assert.equal(file.affine, gridOf(orientation).affine);

    const probabilities = Float32Array.from({ length: 2 * turned.label!.length }, (_, i) =>
      i < turned.label!.length ? 0.25 : turned.label![i - turned.label!.length]!,
    );
    const back = uncropProbabilities(probabilities, 2, turned);
    assert.equal([...back.subarray(whole.length)], [...whole]);
    assert.is(back.filter((value) => value === 0.25).length, turned.label!.length);
  }
  assert.throws(() => uncrop(new Uint8Array(3), lps), /expected values of \[/);
});

const grid = (orientation: string, spacing: Vec3) => ({
  size: [9, 9, 9] as Vec3,
  brain: [9, 9, 9] as Vec3,
  spacing,
  orientation,
});

test("the common grid has the orientation of most cases, and their median spacing in it", () => {
  const cases = [
    { id: "a", grid: grid("LPS", [3, 1, 1]) },
    { id: "b", grid: grid("PIR", [1, 5, 1]) }, // x, y, z are back-front, up-down, left-right
    { id: "c", grid: grid("LPS", [4, 1, 1]) },
    { id: "d" },
  ];
  assert.equal(commonGrid(cases), { orientation: "LPS", spacing: [4, 1, 1] });
  assert.equal(commonGrid(cases, "PIR"), { orientation: "PIR", spacing: [1, 4, 1] });
  assert.is(commonGrid([{ id: "d" }]), null);
  const [orientation, spacing] = differingGrids(cases);
  assert.match(orientation!, /^cases differ in orientation: LPS in 2 \(a, \.\.\.\), PIR in 1 \(b\): .* turn/);
  assert.match(spacing!, /^cases differ in voxel size, mm: /);
});

test("a case of another orientation, or with voxels more than 20 % off, is named", () => {
  const trained = { orientation: "LPS", spacing: [1, 1, 1] as Vec3 };
  const warned = (orientation: string, spacing: Vec3) =>
    gridWarnings([{ id: "a", grid: grid(orientation, spacing) }], trained);
  assert.equal(warned("LPS", [1.2, 1, 0.84]), []);
  const [turned, ...more] = warned("RAS", [1, 1, 1]);
  assert.equal(more, []);
  assert.match(turned!, /^case a: expected the orientation LPS, .*, got RAS: it is turned for the network/);
  for (const spacing of [
    [5, 1, 1],
    [1, 1, 0.8],
    [1, 1.21, 1],
  ] as Vec3[])
    // prettier-ignore
    assert.match(warned("LPS", spacing).join(), /^case a: expected voxels of 1x1x1 mm, .* got /);
});

/** The values of a box in an array [D, H, W], from the lowest up. */
function valuesIn(data: ArrayLike<number>, all: Vec3, corner: Vec3, size: Vec3): number[] {
  const values: number[] = [];
  for (let z = corner[0]; z < corner[0] + size[0]; z++)
    for (let y = corner[1]; y < corner[1] + size[1]; y++)
      for (let x = corner[2]; x < corner[2] + size[2]; x++) values.push(data[(z * all[1] + y) * all[2] + x]!);
  return values.sort((a, b) => a - b);
}

test("a box of a case has its place in mm and in the voxels of its file, however the case was turned", async () => {
  const corner: Vec3 = [1, 1, 0];
  const size: Vec3 = [2, 1, 3];
  const backwards = (xyz: Vec3) => [...xyz].reverse() as unknown as Vec3;
  for (const to of ["LPS", "PIR"])
    for (const from of ALL) {
      const prepared = await load(from, to);
      const { centre, first, size: sides } = placeOf(prepared, corner, size);
      const file = await readNifti(await fileOf(from, brain), from);
      const seen = file.data.filter((v) => v !== 0);
      const mean = seen.reduce((a, b) => a + b) / seen.length;
      const deviation = Math.sqrt(seen.reduce((sum, v) => sum + (v - mean) ** 2, 0) / seen.length);
      const there = valuesIn(file.data, file.size, backwards(first), backwards(sides));
      const expected = valuesIn(prepared.images, prepared.size, corner, size);
      assert.is(there.length, 6);
      for (const [i, v] of there.entries())
        assert.ok(Math.abs((v - mean) / deviation - expected[i]!) < 1e-5, `${from} to ${to}: ${v}`);
      assert.equal([...centre], to === "LPS" ? [2, 6, 4.5] : [2.5, 6, 9], `${from} to ${to}`);
    }
});

test("a box that begins before the image has negative voxels", async () => {
  const prepared = await load("RAS", "LPS");
  const { first } = placeOf(prepared, [-2, 0, 0], [10, 1, 1]);
  assert.is(first[2], prepared.source.offset[0] - 2);
});

test.run();
