// The three letters of a volume's orientation in the patient.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { obliqueness, orientationOf } from "../../data/nifti/orientation.ts";
import { IDENTITY } from "../support/fixtures.ts";

test("orientation codes are those of nibabel, also for permuted and oblique axes", () => {
  const axes = (...columns: number[][]) => [
    ...[0, 1, 2].map((row) => [...columns.map((column) => column[row]!), 0]),
    [0, 0, 0, 1],
  ];
  assert.is(orientationOf(IDENTITY), "RAS");
  assert.is(orientationOf(axes([-1, 0, 0], [0, -1, 0], [0, 0, 2])), "LPS");
  assert.is(orientationOf(axes([0, 0, -1], [0, 3, 0], [1, 0, 0])), "IAR");
  const [c, s] = [Math.cos(0.3), Math.sin(0.3)];
  const turned = axes([c, s, 0], [-s, c, 0], [0, 0, 1]);
  assert.is(orientationOf(turned), "RAS");
  assert.ok(Math.abs(obliqueness(turned) - (0.3 * 180) / Math.PI) < 1e-6);
  assert.is(obliqueness(IDENTITY), 0);
});

test.run();
