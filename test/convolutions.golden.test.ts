import { test } from "uvu";
import { conv3d } from "../engine/ops/conv3d.ts";
import { convTranspose3d } from "../engine/ops/convTranspose3d.ts";
import { goldenTest } from "./golden.ts";

const kernels = ["k3", "k3_wide", "k3_from4", "k3_deep", "k1", "k2s2", "k3s2", "k4s2"];

for (const name of kernels) {
  goldenTest(test, `conv3d_${name}`, ({ x, weight, bias }, { stride, padding }) =>
    conv3d(x!, weight!, bias ?? null, { stride: Number(stride), padding: Number(padding) }),
  );
}
for (const name of ["k2s2", "k3s2"]) {
  goldenTest(test, `convt3d_${name}`, ({ x, weight, bias }, attributes) =>
    convTranspose3d(x!, weight!, bias!, {
      stride: Number(attributes["stride"]),
      padding: Number(attributes["padding"]),
      outputPadding: Number(attributes["output_padding"]),
    }),
  );
}

test.run();
