import { test } from "uvu";
import { concat } from "../engine/ops/concat.ts";
import { gelu } from "../engine/ops/gelu.ts";
import { globalAveragePool } from "../engine/ops/globalAveragePool.ts";
import { maxPool3d } from "../engine/ops/maxPool3d.ts";
import { sigmoid } from "../engine/ops/sigmoid.ts";
import { tanh } from "../engine/ops/tanh.ts";
import { upsampleNearest } from "../engine/ops/upsampleNearest.ts";
import { upsampleTrilinear } from "../engine/ops/upsampleTrilinear.ts";
import { goldenTest } from "./golden.ts";

goldenTest(test, "concat_channels", ({ a, b }) => concat(a!, b!));
goldenTest(test, "max_pool3d", ({ x }) => maxPool3d(x!));
goldenTest(test, "upsample_nearest", ({ x }) => upsampleNearest(x!));
goldenTest(test, "upsample_trilinear", ({ x }) => upsampleTrilinear(x!));
goldenTest(test, "global_avg_pool", ({ x }) => globalAveragePool(x!));
goldenTest(test, "sigmoid", ({ x }) => sigmoid(x!));
goldenTest(test, "tanh", ({ x }) => tanh(x!));
goldenTest(test, "gelu", ({ x }) => gelu(x!));

test.run();
