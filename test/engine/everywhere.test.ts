// The rows again, on devices that the other tests do not use: with Dawn's checks and without, with the
// adapter's limits and features and with the least that WebGPU guarantees, where other kernels run. Every
// buffer is full of NaN when it is handed out, so that an element that a kernel forgets is noticed.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { defaultToggles, openDevice } from "../../cli/device/gpu.ts";
import type { Device } from "../../engine/gpu/device.ts";
import { GpuError } from "../../engine/gpu/errors.ts";
import { free, Tensor } from "../../engine/autograd/tensor.ts";
import { cases } from "../support/cases.ts";
import { check } from "../support/gradcheck.ts";

for (const toggles of ["safe", "fast"] as const) {
  for (const limits of ["adapter", "default"] as const) {
    if (toggles === defaultToggles && limits === "adapter") continue; // ops.test.ts
    const device = littered(await openDevice({ toggles, limits }));
    test(`buffers are handed out full of NaN, toggles ${toggles}, limits ${limits}`, async () => {
      for (let round = 0; round < 2; round++) {
        const x = new Tensor(device, [5]);
        assert.ok((await x.read()).every(Number.isNaN));
        x.write([1, 2, 3, 4, 5]);
        free(x);
      }
    });
    for (const row of cases) {
      const title = `${row.op}, ${row.name}: value and gradients, toggles ${toggles}, limits ${limits}`;
      test(title, () => check(row, device));
    }
    // Under lavapipe each kernel of a device holds some 120 memory mappings, and a process may have 65,530.
    test(`the device is destroyed, toggles ${toggles}, limits ${limits}`, async () => {
      const x = new Tensor(device, [5]);
      device.gpu.destroy();
      const outcome = await x.read().then(
        () => "read",
        (error: unknown) => (error instanceof GpuError ? error.kind : error),
      );
      assert.is(outcome, "lost");
    });
  }
}

function littered(device: Device): Device {
  device.listener.buffer = (buffer) => device.write(buffer, 0, new Float32Array(buffer.size / 4).fill(NaN));
  return device;
}

test.run();
