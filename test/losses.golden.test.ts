import { test } from "uvu";
import { classCounts, classWeights } from "../engine/ops/classCounts.ts";
import { cosineMaps } from "../engine/ops/cosineMaps.ts";
import { crossEntropy } from "../engine/ops/crossEntropy.ts";
import { diceLoss } from "../engine/ops/diceLoss.ts";
import { prototypes } from "../engine/ops/prototypes.ts";
import { pixelKd, prototypeLoss } from "../model/losses.ts";
import { goldenTest } from "./golden.ts";

goldenTest(test, "dice_loss", ({ z, y }, { smooth }) => diceLoss(z!, y!, Number(smooth)));
goldenTest(test, "weighted_ce", ({ z, y }) => crossEntropy(z!, y!, classWeights(classCounts(y!, 4))));
goldenTest(test, "pixel_kd", ({ zs, zt }, { temperature }) => pixelKd(zs!, zt!, Number(temperature)));
goldenTest(test, "prototypes", ({ f, y }, { classes, eps }) =>
  prototypes(f!, y!, Number(classes), Number(eps)),
);
goldenTest(test, "cosine_maps", ({ f, P }, { eps }) => cosineMaps(f!, P!, Number(eps)));
for (const name of ["proto_loss", "proto_loss_missing_class", "proto_loss_zero_vectors"]) {
  goldenTest(test, name, ({ fs, ft, y }, { classes }) => prototypeLoss(fs!, ft!, y!, Number(classes)));
}

test.run();
