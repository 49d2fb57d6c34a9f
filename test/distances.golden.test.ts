import { test } from "uvu";
import { barlowTwins } from "../engine/ops/barlowTwins.ts";
import { classLevelKl } from "../engine/ops/classLevelKl.ts";
import { linear } from "../engine/ops/linear.ts";
import { statisticsL2 } from "../engine/ops/statisticsL2.ts";
import { goldenTest } from "./golden.ts";

goldenTest(test, "linear", ({ x, weight, bias }) => linear(x!, weight!, bias!));
goldenTest(test, "statistics_l2", ({ fs, ft }, { eps }) => statisticsL2(fs!, ft!, Number(eps)));
goldenTest(test, "barlow_twins", ({ z1, z2 }, { lam, eps }) =>
  barlowTwins(z1!, z2!, { lambda: Number(lam), eps: Number(eps) }),
);
goldenTest(test, "class_level_kl", ({ za, zb, ya, yb }, { temperature }) =>
  classLevelKl(
    { logits: za!, label: ya! },
    { logits: zb!, label: yb! },
    { temperature: Number(temperature) },
  ),
);

test.run();
