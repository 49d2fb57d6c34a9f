// The rows of test/cases/ on devices that force upon small tensors what else only large ones meet: a dispatch that
// is wider than one dimension holds goes on in the next one, and a call of much work is cut into pieces.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { spread } from "../../engine/gpu/grid.ts";
import { cases } from "../support/cases.ts";
import { convolutions } from "../support/cases/convolutions.ts";
import { check } from "../support/gradcheck.ts";

const narrow = await openDevice({ widest: 2 });
const impatient = await openDevice({ limits: "default" });
impatient.budget = 1;

for (const row of cases) {
  test(`${row.op}, ${row.name}: value and gradients, two workgroups wide`, () => check(row, narrow));
}

for (const row of convolutions) {
  test(`${row.op}, ${row.name}: value and gradients, a workgroup at a time`, () => check(row, impatient));
}

test("a grid holds all workgroups, no dimension more than it may, and few that are too many", () => {
  for (const [groups, widest] of [
    [0, 7],
    [1, 7],
    [7, 7],
    [8, 7],
    [49, 7],
    [65_535, 65_535],
    [65_536, 65_535],
  ] as const) {
    const [x, y, z] = spread(groups, widest);
    assert.ok(x >= 1 && x <= widest && z === 1, `${groups}: ${x} x ${y}`);
    assert.ok(x * y >= groups && x * y < Math.max(1, groups) + y, `${groups}: ${x} x ${y}`);
  }
});

// Under lavapipe each kernel of a device holds some 120 mappings of memory, of which a process may have 65,530.
test.after(() => [narrow, impatient].forEach(({ gpu }) => gpu.destroy()));

test.run();
