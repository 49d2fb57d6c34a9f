// The presence of regions in the windows of a case, its scores, and where a case's highest ones are.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { vnetClassifier } from "../../model/networks/classifier.ts";
import { initialise } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import { casePeaks, casePresence, presenceScores, shownIn } from "../../trainer/stages/presence.ts";
import { device, random } from "../support/gradcheck.ts";
import { failure } from "../support/quietly.ts";

const SIZE: Vec3 = [8, 8, 16];
const config = { modalities: 1, classes: 4, filters: 2, levels: 2, norm: "instance" } as const;
const prepared = {
  size: SIZE,
  channels: ["t1"],
  images: Float32Array.from(random([1, ...SIZE]).data),
};
const WINDOWS = { patch: [8, 8, 8] as Vec3, window: "gaussian", step: 0.5 } as const;

test("each window has three probabilities, in the volume's order", async () => {
  const network = { params: new Params(device, { seed: 1 }), config, architecture: vnetClassifier };
  initialise(device, network, WINDOWS.patch);
  const progress: number[] = [];
  const found = await casePresence(device, network, prepared, WINDOWS, (done) => progress.push(done));
  assert.equal(
    found.map(({ corner }) => corner),
    [
      [0, 0, 0],
      [0, 0, 4],
      [0, 0, 8],
    ],
  );
  assert.equal(progress, [1, 2, 3]);
  const values = found.flatMap(({ probability }) => Object.values(probability));
  assert.ok(values.every((p) => p > 0 && p < 1) && new Set(values).size === 9);
  network.params.tensors.get("presence.bias")!.write(new Float32Array(3).fill(NaN));
  const error = await failure(() => casePresence(device, network, prepared, WINDOWS));
  assert.match(error.message, /probabilities of presence are NaN/);
});

test("the regions of a window: ET is in TC and WT, oedema in WT alone, outside the volume there is nothing", () => {
  const label = new Uint8Array(8 * 8 * 16);
  label[15] = 3;
  label[2] = 1;
  assert.equal(shownIn(label, SIZE, [8, 8, 8], [0, 0, 8]), { WT: true, TC: false, ET: false });
  assert.equal(shownIn(label, SIZE, [8, 8, 8], [0, 0, 0]), { WT: true, TC: true, ET: true });
  assert.equal(shownIn(label, SIZE, [8, 8, 8], [0, 0, 4]), { WT: false, TC: false, ET: false });
  assert.equal(shownIn(label, SIZE, [16, 16, 32], [-4, -4, -8]), { WT: true, TC: true, ET: true });
});

test("the scores of windows: AUC of each region and their mean, average precision beside", () => {
  const window = (p: number, WT: boolean, ET: boolean) => ({
    corner: [0, 0, 0] as Vec3,
    probability: { WT: p, TC: 1 - p, ET: 0.5 },
    present: { WT, TC: WT, ET },
  });
  const scores = presenceScores([
    window(0.9, true, true),
    window(0.7, true, false),
    window(0.2, false, false),
  ]);
  assert.equal(scores, {
    WT: 1,
    TC: 0,
    ET: 0.5,
    mean: 0.5,
    precision: { WT: 1, TC: (1 / 2 + 2 / 3) / 2, ET: 1 / 3, mean: (1 + (1 / 2 + 2 / 3) / 2 + 1 / 3) / 3 },
  });
});

test("a case has the highest probability of its windows, the first of equals, and that window", () => {
  const window = (x: number, WT: number, TC: number) => ({
    corner: [0, 0, x] as Vec3,
    probability: { WT, TC, ET: 0.5 },
  });
  assert.equal(casePeaks([window(0, 0.1, 0.8), window(4, 0.9, 0.3), window(8, 0.9, 0.4)]), {
    WT: { probability: 0.9, corner: [0, 0, 4] },
    TC: { probability: 0.8, corner: [0, 0, 0] },
    ET: { probability: 0.5, corner: [0, 0, 0] },
  });
});

test.run();
