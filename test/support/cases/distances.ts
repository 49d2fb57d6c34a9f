import { adain } from "../../../engine/ops/adain.ts";
import { barlowTwins } from "../../../engine/ops/barlowTwins.ts";
import { channelStatistics } from "../../../engine/ops/channelStatistics.ts";
import { type ClassLevelOptions, classLevelKl } from "../../../engine/ops/classLevelKl.ts";
import { classMeans } from "../../../engine/ops/classMeans.ts";
import { linear } from "../../../engine/ops/linear.ts";
import { statisticsL2 } from "../../../engine/ops/statisticsL2.ts";
import { type Array64, type OpCase, random, randomLabels } from "../gradcheck.ts";
import * as reference from "../reference/distances.ts";

/** Volumes of more than one chunk of 8192 voxels, the last not full. */
const LONG = [1, 1, 17, 16, 33];
const LONG_TWO = [1, 2, 17, 16, 33];
const CHUNKS = [2, 2, 1, 41, 203];

const affine = (name: string, [rows, inputs, outputs]: [number, number, number], biased = true): OpCase => ({
  op: "linear",
  name,
  inputs: {
    x: random([rows, inputs]),
    weight: random([outputs, inputs], { seed: 2 }),
    ...(biased && { bias: random([outputs], { seed: 3 }) }),
  },
  run: ({ x, weight, bias }) => linear(x!, weight!, bias ?? null),
  reference: ({ x, weight, bias }) => reference.linear(x!, weight!, bias),
});

const statistics = (name: string, x: Array64): OpCase => ({
  op: "channelStatistics",
  name,
  inputs: { x },
  run: ({ x }) => channelStatistics(x!),
  reference: ({ x }) => reference.channelStatistics(x!),
});

const apart = (name: string, a: Array64, b: Array64): OpCase => ({
  op: "statisticsL2",
  name,
  inputs: { a, b },
  run: ({ a, b }) => statisticsL2(a!, b!),
  reference: ({ a, b }) => reference.statisticsL2(a!, b!),
});

const restyled = (name: string, x: Array64, style: Array64): OpCase => ({
  op: "adain",
  name,
  inputs: { style },
  constants: { x },
  run: ({ x, style }) => adain(x!, style!),
  reference: ({ x, style }) => reference.adain(x!, style!),
});

const twins = (name: string, shape: number[], lambda?: number): OpCase => ({
  op: "barlowTwins",
  name,
  inputs: { a: random(shape, { scale: 2, offset: 1 }), b: random(shape, { seed: 2 }) },
  run: ({ a, b }) => barlowTwins(a!, b!, { lambda }),
  reference: ({ a, b }) => reference.barlowTwins(a!, b!, lambda),
});

const means = (name: string, x: Array64, { classes = 4, absent = 0 } = {}): OpCase => ({
  op: "classMeans",
  name,
  inputs: { x },
  constants: { label: labelOf(x, classes - absent) },
  run: ({ x, label }) => classMeans(x!, label!, classes),
  reference: ({ x, label }) => reference.classMeans(x!, label!, classes),
});

const divergence = (
  name: string,
  a: Array64,
  b: Array64,
  {
    present = a.shape[1]!,
    temperature = 2,
    absent = "skip",
  }: ClassLevelOptions & { present?: number | readonly number[] } = {},
): OpCase => ({
  op: "classLevelKl",
  name,
  inputs: { a, b },
  constants: {
    labelA: labelOf(a, a.shape[1]!),
    labelB: typeof present === "number" ? labelOf(b, present) : labelAmong(b, present),
  },
  run: ({ a, b, labelA, labelB }) =>
    classLevelKl({ logits: a!, label: labelA! }, { logits: b!, label: labelB! }, { temperature, absent }),
  reference: ({ a, b, labelA, labelB }) =>
    reference.classLevelKl([a!, b!], [labelA!, labelB!], temperature, absent === "skip"),
});

/** A label of some classes alone. */
function labelAmong(x: Array64, classes: readonly number[]): Array64 {
  const { shape, data } = labelOf(x, classes.length);
  return { shape, data: data.map((k) => classes[k]!) };
}

function labelOf({ shape: [batch = 1, , ...size] }: Array64, classes: number): Array64 {
  return randomLabels([batch, ...size], classes);
}

const features = random([2, 3, 3, 4, 5], { scale: 2 });
/** Odd in every way: no workgroup or tile divides the numbers of samples, voxels and elements. */
const ODD = [2, 3, 3, 5, 7];

export const distances: OpCase[] = [
  affine("six rows", [6, 10, 7]),
  affine("one of each", [1, 1, 1]),
  affine("without a bias", [3, 5, 2], false),
  affine("more inputs than threads", [2, 150, 3]),
  affine("40 inputs", [3, 40, 5]),
  affine("more rows than threads", [131, 2, 3]),
  statistics("a batch of odd sizes, mean >> std", random([2, 3, 3, 5, 7], { offset: 100 })),
  statistics("40 channels", random([1, 40, 1, 2, 3])),
  statistics("one voxel", random([2, 3, 1, 1, 1])),
  statistics("volumes of two chunks", random(LONG, { offset: 3 })),
  apart("a batch of odd sizes", features, random([2, 3, 3, 4, 5], { seed: 2, offset: 1 })),
  apart("of different sizes", features, random([2, 3, 2, 2, 3], { seed: 2 })),
  apart("odd sizes", random(ODD), random(ODD, { seed: 2, scale: 2 })),
  apart("one voxel", random([2, 3, 1, 1, 1]), random([2, 3, 1, 1, 1], { seed: 2 })),
  apart("one channel", random([2, 1, 1, 2, 3]), random([2, 1, 2, 2, 2], { seed: 2 })),
  apart("40 channels", random([1, 40, 1, 2, 3]), random([1, 40, 1, 2, 3], { seed: 2 })),
  apart(
    "volumes of two chunks, and one of few",
    random(LONG),
    random([1, 1, 1, 2, 3], { seed: 2, offset: 1 }),
  ),
  restyled(
    "odd sizes, mean >> std",
    random(ODD, { offset: 100 }),
    random(ODD, { seed: 2, scale: 2, offset: 3 }),
  ),
  restyled("of different sizes", features, random([2, 3, 2, 2, 3], { seed: 2 })),
  restyled("one voxel", random([2, 3, 1, 1, 1]), random([2, 3, 1, 1, 1], { seed: 2 })),
  restyled("one channel", random([2, 1, 1, 2, 3]), random([2, 1, 2, 2, 2], { seed: 2 })),
  restyled("40 channels", random([1, 40, 1, 2, 3]), random([1, 40, 1, 2, 3], { seed: 2 })),
  restyled("two samples and channels of two chunks", random(CHUNKS), random([2, 2, 1, 2, 3], { seed: 2 })),
  restyled("two chunks of whole fours", random([1, 2, 9, 32, 32]), random([1, 2, 2, 2, 3], { seed: 2 })),
  twins("twelve rows of eight", [12, 8]),
  twins("five rows of 40", [5, 40]),
  twins("seven rows of five", [7, 5]),
  twins("three rows of 70: more than one chunk of the matrix", [3, 70]),
  twins("one column, lambda 1", [5, 1], 1),
  means("a batch of two", features),
  means("odd sizes", random(ODD)),
  means("one voxel", random([1, 3, 1, 1, 1])),
  means("a class without voxels", features, { absent: 1 }),
  means("40 channels, five classes", random([2, 40, 1, 2, 3]), { classes: 5 }),
  means("volumes of two chunks", random(LONG, { offset: 1 }), { classes: 2 }),
  divergence(
    "two batches",
    random([2, 4, 3, 4, 5], { scale: 4 }),
    random([2, 4, 3, 4, 5], { seed: 2, scale: 6 }),
  ),
  divergence("odd sizes", random(ODD, { scale: 2 }), random(ODD, { seed: 2, scale: 2 })),
  divergence("one voxel", random([1, 3, 1, 1, 1]), random([1, 3, 1, 1, 1], { seed: 2 })),
  divergence("one class", random([1, 1, 1, 2, 3]), random([1, 1, 1, 2, 3], { seed: 2 })),
  divergence("five classes", random([2, 5, 1, 3, 4]), random([2, 5, 1, 2, 3], { seed: 2 })),
  divergence("40 classes", random([2, 40, 1, 2, 3]), random([2, 40, 1, 2, 3], { seed: 2 })),
  divergence(
    "volumes of two chunks, of means that differ",
    random(LONG_TWO, { scale: 60 }),
    random(LONG_TWO, { seed: 2, scale: 60 }),
  ),
  divergence("of different sizes, a class without voxels", random([1, 3, 2, 3, 5]), random([2, 3, 1, 2, 7]), {
    present: 2,
    temperature: 1,
  }),
  divergence(
    "of different sizes, an absent class uniform",
    random([1, 3, 2, 3, 5]),
    random([2, 3, 1, 2, 7]),
    {
      absent: "uniform",
      present: 2,
      temperature: 1,
    },
  ),
  divergence("the second class lacks voxels", random([1, 3, 2, 3, 5]), random([2, 3, 1, 2, 7]), {
    present: [0, 2],
  }),
  statistics("two samples and channels of two chunks", random(CHUNKS, { offset: 3 })),
  statistics("more channels than two workgroups hold", random([2, 100, 1, 1, 3])),
  means("two samples and channels of two chunks, five classes", random(CHUNKS), { classes: 5 }),
  divergence(
    "two samples and classes of two chunks",
    random(CHUNKS, { scale: 60 }),
    random(CHUNKS, { seed: 2, scale: 60 }),
  ),
  twins("three rows of 111: four chunks of the matrix", [3, 111]),
  means("more samples than threads", random([70, 2, 1, 1, 2])),
  divergence("more samples than threads", random([70, 2, 1, 1, 2]), random([70, 2, 1, 1, 2], { seed: 2 })),
  {
    ...divergence(
      "logits whose exponentials overflow",
      random([2, 4, 1, 2, 3], { scale: 150, offset: 200 }),
      random([2, 4, 1, 2, 3], { seed: 2, scale: 150, offset: 200 }),
      { temperature: 1 },
    ),
    tolerance: 2e-5, // the last digit of 200 is 2e-5
  },
  twins("five rows of 279: the matrix begins a twentieth chunk", [5, 279]),
  {
    op: "classMeans",
    name: "eps beside the counts",
    inputs: { x: features },
    constants: { label: labelOf(features, 3) },
    run: ({ x, label }) => classMeans(x!, label!, 4, 0.5),
    reference: ({ x, label }) => reference.classMeans(x!, label!, 4, 0.5),
  },
];
