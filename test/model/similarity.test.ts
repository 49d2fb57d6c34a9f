// Maps of similarity over a whole volume: against float64, with windows that overlap and reach out of it.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { conv3d, keep, Random, tensor, type Tensor } from "../../engine/index.ts";
import { similarityMaps } from "../../model/inference/similarity.ts";
import { device } from "../support/gradcheck.ts";

const test = suite("similarity");

const SIZE = [6, 5, 7] as const;
const VOXELS = 6 * 5 * 7;
const [CHANNELS, FEATURES, CLASSES] = [2, 3, 4];

const random = new Random(3);
const draw = (length: number) => Float32Array.from({ length }, () => random.normal());
const data = draw(CHANNELS * VOXELS);
const weights = draw(FEATURES * CHANNELS);
const label = Uint8Array.from({ length: VOXELS }, () => random.integer(3)); // no voxel of the last class

/** Features of single voxels: windows make no difference to them. */
function features(weight: Tensor): (x: Tensor) => Tensor {
  return (x) => conv3d(x, weight, null);
}

/** cos(f_v, mean of f over the class), class by class. */
function expected(): number[][] {
  const f = Array.from({ length: VOXELS }, (_, v) =>
    Array.from({ length: FEATURES }, (_, i) =>
      [0, 1].reduce((sum, c) => sum + weights[i * CHANNELS + c]! * data[c * VOXELS + v]!, 0),
    ),
  );
  return Array.from({ length: CLASSES }, (_, k) => {
    const members = f.filter((_, v) => label[v] === k);
    const centre = [0, 1, 2].map((i) => members.reduce((sum, one) => sum + one[i]! / members.length, 0));
    return f.map((one) => {
      if (!members.length) return 0;
      const dot = one.reduce((sum, value, i) => sum + value * centre[i]!, 0);
      return dot / Math.max(Math.hypot(...one) * Math.hypot(...centre), 1e-5);
    });
  });
}

test("the maps are the cosines to the volume's own prototypes, whatever the windows; 0 for a class that is absent", async () => {
  const weight = keep(tensor(device, [FEATURES, CHANNELS, 1, 1, 1], weights));
  const image = { data, channels: CHANNELS, size: SIZE };
  const wanted = expected();
  for (const window of [SIZE, [4, 4, 4]] as const) {
    let reported = 0;
    const maps = await similarityMaps(device, image, {
      window,
      label,
      classes: CLASSES,
      features: features(weight),
      progress: (done, all) => (reported = done / all),
    });
    assert.is(reported, 1);
    assert.is(maps.length, CLASSES);
    for (const [k, map] of maps.entries()) {
      const off = Math.max(...map.map((value, v) => Math.abs(value - wanted[k]![v]!)));
      assert.ok(off < 1e-5, `windows of ${window}, class ${k}: off by ${off}`);
    }
  }
});

test.run();
