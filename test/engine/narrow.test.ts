// The rows of test/support/cases on devices where small tensors meet what otherwise only large ones do: a
// dispatch wider than one dimension continues in the next one, and a call of much work is cut into several
// dispatches.

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

test("a grid has all workgroups and few more, and no dimension exceeds its limit", () => {
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

// Under lavapipe each kernel of a device holds some 120 memory mappings, and a process may have 65,530.
test.after(() => [narrow, impatient].forEach(({ gpu }) => gpu.destroy()));

test.run();
