import { concat } from "../../../engine/ops/concat.ts";
import { globalAveragePool } from "../../../engine/ops/globalAveragePool.ts";
import { maskChannels } from "../../../engine/ops/maskChannels.ts";
import { maxPool3d } from "../../../engine/ops/maxPool3d.ts";
import { upsampleNearest } from "../../../engine/ops/upsampleNearest.ts";
import { upsampleTrilinear } from "../../../engine/ops/upsampleTrilinear.ts";
import { type Array64, type OpCase, random } from "../gradcheck.ts";
import * as reference from "../reference/resampling.ts";

const joined = (name: string, a: Array64, b: Array64): OpCase => ({
  op: "concat",
  name,
  inputs: { a, b },
  run: ({ a, b }) => concat(a!, b!),
  reference: ({ a, b }) => {
    const [batch = 1, channels = 1, ...size] = a!.shape;
    const data = new Float64Array(a!.data.length + b!.data.length);
    let at = 0;
    for (let n = 0; n < batch; n++) {
      for (const { data: values } of [a!, b!]) {
        const row = values.subarray((n * values.length) / batch, ((n + 1) * values.length) / batch);
        data.set(row, at);
        at += row.length;
      }
    }
    return { shape: [batch, channels + b!.shape[1]!, ...size], data };
  },
});

const masked = (name: string, x: Array64, mask: readonly number[]): OpCase => ({
  op: "maskChannels",
  name,
  inputs: { x },
  constants: { mask: { shape: x.shape.slice(0, 2), data: Float64Array.from(mask) } },
  run: ({ x, mask }) => maskChannels(x!, mask!),
  reference: ({ x, mask }) => {
    const [batch = 1, channels = 1, ...size] = x!.shape;
    const voxels = x!.data.length / batch / channels;
    const data = Float64Array.from({ length: 2 * x!.data.length }, (_, i) => {
      const row = Math.floor(i / voxels);
      const [n, c] = [Math.floor(row / channels / 2), row % (2 * channels)];
      const kept = mask!.data[n * channels + (c % channels)]!;
      if (c >= channels) return kept;
      return kept === 0 ? 0 : x!.data[(n * channels + c) * voxels + (i % voxels)]!;
    });
    return { shape: [batch, 2 * channels, ...size], data };
  },
});

const pooled = (name: string, x: Array64): OpCase => ({
  op: "maxPool3d",
  name,
  inputs: { x },
  run: ({ x }) => maxPool3d(x!),
  reference: ({ x }) => reference.maxPool3d(x!),
  step: 1e-6, // two values of a window may differ by less than 1e-4
});

const averaged = (name: string, x: Array64): OpCase => ({
  op: "globalAveragePool",
  name,
  inputs: { x },
  run: ({ x }) => globalAveragePool(x!),
  reference: ({ x }) => {
    const [batch = 1, channels = 1] = x!.shape;
    const voxels = x!.data.length / batch / channels;
    const data = Float64Array.from({ length: batch * channels }, (_, row) =>
      x!.data.subarray(row * voxels, (row + 1) * voxels).reduce((sum, value) => sum + value / voxels, 0),
    );
    return { shape: [batch, channels], data };
  },
});

const volumes: readonly (readonly [name: string, x: Array64])[] = [
  ["a batch of odd sizes", random([2, 3, 1, 1, 5])],
  ["a batch of one channel, odd sizes", random([2, 1, 3, 5, 7])],
  ["one voxel", random([1, 2, 1, 1, 1])],
  ["40 channels", random([1, 40, 1, 2, 1])],
];

export const resampling: OpCase[] = [
  joined("a batch of odd sizes", random([2, 3, 3, 5, 7]), random([2, 2, 3, 5, 7], { seed: 2 })),
  joined("one voxel, 1 and 40 channels", random([3, 1, 1, 1, 1]), random([3, 40, 1, 1, 1], { seed: 2 })),
  joined("40 channels and 1", random([1, 40, 1, 2, 3]), random([1, 1, 1, 2, 3], { seed: 2 })),
  joined(
    "samples of more than a workgroup moves",
    random([2, 1, 1, 40, 31]),
    random([2, 2, 1, 40, 31], { seed: 2 }),
  ),
  masked("a batch of odd sizes, each sample with others", random([2, 3, 3, 5, 7]), [1, 0, 1, 0, 1, 0]),
  masked("one channel, absent in one sample", random([3, 1, 3, 5, 7]), [1, 0, 1]),
  masked(
    "one voxel, 40 channels",
    random([1, 40, 1, 1, 1]),
    Array.from({ length: 40 }, (_, c) => c % 2),
  ),
  masked("nothing absent, more voxels than a workgroup moves", random([1, 2, 1, 40, 31]), [1, 1]),
  masked("vectors, and a mask of fractions", random([2, 2, 3]), [0.5, 0, 0, -2]),
  joined("vectors", random([3, 2]), random([3, 4], { seed: 2 })),
  pooled("even sizes", random([2, 3, 4, 6, 2])),
  pooled("odd sizes, without their last planes", random([2, 2, 3, 5, 7])),
  pooled("one window, all negative", random([1, 1, 2, 2, 2], { offset: -10 })),
  pooled("40 channels", random([1, 40, 2, 2, 3])),
  ...volumes.flatMap(([name, x]): OpCase[] => [
    {
      op: "upsampleNearest",
      name,
      inputs: { x },
      run: ({ x }) => upsampleNearest(x!),
      reference: ({ x }) => reference.upsampleNearest(x!),
    },
    {
      op: "upsampleTrilinear",
      name,
      inputs: { x },
      run: ({ x }) => upsampleTrilinear(x!),
      reference: ({ x }) => reference.upsampleTrilinear(x!),
    },
  ]),
  averaged("a batch of odd sizes, mean >> std", random([2, 3, 3, 5, 7], { offset: 100 })),
  averaged("one voxel, 40 channels", random([1, 40, 1, 1, 1])),
  averaged("volumes of two chunks", random([1, 1, 17, 16, 17], { offset: 1 })),
  averaged("two samples and channels of two chunks", random([2, 2, 1, 41, 101], { offset: 1 })),
  pooled("more windows than two workgroups hold", random([1, 3, 8, 8, 16])),
];
