// The convolutions on a device with WebGPU's guaranteed minimum: its limits, and no feature. Where subgroups
// have eight lanes, this is what runs the kernels that do without.

import { test } from "uvu";
import { openDevice } from "../cli/gpu.ts";
import { convolutions } from "./cases/convolutions.ts";
import { check } from "./gradcheck.ts";

const minimum = await openDevice({ limits: "default" });

for (const row of convolutions) {
  test(`${row.op}, ${row.name}: value and gradients, on WebGPU's minimum`, () => check(row, minimum));
}

test.run();
