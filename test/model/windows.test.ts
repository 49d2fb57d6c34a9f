// Sliding windows: where they begin along an axis, the weights of their voxels, and how volumes are mirrored.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { axisWindows, eachRow, MIRRORS, mirrored, windowCorners } from "../../model/inference/windows.ts";

const starts = (size: number, window: number, weighting: "gaussian" | "uniform", step = 0.5) =>
  axisWindows(size, window, { weighting, step }).starts;

test("on 140x192x192, windows of 96x128x128 begin where the published code lays them, either way", () => {
  for (const weighting of ["gaussian", "uniform"] as const) {
    assert.equal(starts(140, 96, weighting), [0, 44]);
    assert.equal(starts(192, 128, weighting), [0, 64]);
  }
});

test("uniform windows are the step apart, and the last is flush with the end", () => {
  const along = (size: number, window: number, step?: number) => starts(size, window, "uniform", step);
  assert.equal(along(8, 8), [0], "an exact fit");
  assert.equal(along(9, 8), [0, 1]);
  assert.equal(along(12, 8), [0, 4], "no window twice");
  assert.equal(along(13, 8), [0, 4, 5]);
  assert.equal(along(16, 8), [0, 4, 8]);
  assert.equal(along(7, 3), [0, 1, 2, 3, 4], "an odd window");
  assert.equal(along(3, 1), [0, 1, 2], "a window of one voxel");
  assert.equal(along(20, 8, 1), [0, 8, 12], "another step");
});

test("windows weighed by a Gaussian are evenly spaced, as few as keep the step: nnU-Net's", () => {
  const along = (size: number, window: number, step?: number) => starts(size, window, "gaussian", step);
  assert.equal(along(8, 8), [0]);
  assert.equal(along(13, 8), [0, 3, 5]);
  assert.equal(along(240, 128), [0, 56, 112]);
  assert.equal(along(155, 128), [0, 27]);
  assert.equal(along(20, 8, 1), [0, 6, 12]);
  assert.equal(along(20, 8, 0.25), [0, 2, 4, 6, 8, 10, 12]);
  assert.throws(() => along(8, 4, 0), /step: expected a share above 0, at most 1, got 0/);
  assert.throws(() => along(8, 4, 1.5), /got 1.5/);
});

test("along axes that are shorter than the window, one begins before the volume, which is centred in it", () => {
  for (const weighting of ["gaussian", "uniform"] as const) {
    assert.equal(
      [starts(4, 8, weighting), starts(5, 8, weighting), starts(1, 8, weighting)],
      [[-2], [-1], [-3]],
    );
  }
});

test("weights are a Gaussian of an eighth of the window, symmetric and never 0; every voxel has some", () => {
  const { weights } = axisWindows(64, 16);
  assert.ok(Math.abs(weights[4]! / weights[7]! - Math.exp((0.5 ** 2 - 3.5 ** 2) / 8)) < 1e-12);
  assert.equal([...weights], [...weights].reverse());
  assert.ok(Math.fround(weights[0]! ** 3) > 0, "in a corner too");
  for (const weighting of ["gaussian", "uniform"] as const) {
    for (const [size, window] of [
      [11, 4],
      [30, 16],
      [5, 8],
      [17, 5],
      [3, 1],
    ] as const) {
      for (const step of [0.5, 1, 0.1]) {
        const { starts, totals } = axisWindows(size, window, { weighting, step });
        assert.is(totals.length, size);
        assert.ok(totals.every((total) => total > 0));
        if (size >= window) assert.ok(starts.every((start) => start >= 0 && start + window <= size));
        assert.is(new Set(starts).size, starts.length);
      }
    }
  }
});

test("volumes are turned round along any axes, each its own inverse", () => {
  const size = [2, 3, 4] as const;
  const volumes = Float32Array.from({ length: 2 * 24 }, (_, i) => i);
  for (const mirror of MIRRORS) {
    const turned = mirrored(volumes, size, mirror);
    for (const [i, value] of turned.entries()) {
      const [c, z, y, x] = [Math.floor(i / 24), Math.floor(i / 12) % 2, Math.floor(i / 4) % 3, i % 4];
      const [sz, sy, sx] = [mirror[0] ? 1 - z : z, mirror[1] ? 2 - y : y, mirror[2] ? 3 - x : x];
      assert.is(value, ((c * 2 + sz) * 3 + sy) * 4 + sx);
    }
    assert.equal(mirrored(turned, size, mirror), volumes);
  }
});

test("corners are the starts along all axes, and rows are the part that volume and window share", () => {
  assert.equal(windowCorners([4, 12, 9], [8, 8, 8], { weighting: "uniform" }), [
    [-2, 0, 0],
    [-2, 0, 1],
    [-2, 4, 0],
    [-2, 4, 1],
  ]);
  const rows: number[][] = [];
  eachRow([2, 2, 5], [3, 1, 4], [-1, 1, 3], (...row) => rows.push(row));
  assert.equal(rows, [
    [8, 4, 2, 1, 0, 0],
    [18, 8, 2, 2, 0, 0],
  ]);
});

test.run();
