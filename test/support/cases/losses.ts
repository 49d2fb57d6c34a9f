import { cosineMaps } from "../../../engine/ops/cosineMaps.ts";
import { crossEntropy } from "../../../engine/ops/crossEntropy.ts";
import { diceLoss } from "../../../engine/ops/diceLoss.ts";
import { klDivergence } from "../../../engine/ops/klDivergence.ts";
import { meanSquaredError } from "../../../engine/ops/meanSquaredError.ts";
import { prototypes } from "../../../engine/ops/prototypes.ts";
import { weightedSum } from "../../../engine/ops/weightedSum.ts";
import { type Array64, type OpCase, random, randomLabels } from "../gradcheck.ts";
import * as reference from "../reference/losses.ts";

const vector = (...values: number[]): Array64 => ({
  shape: [values.length],
  data: Float64Array.from(values),
});

const positive = (length: number): Array64 => {
  const { shape, data } = random([length], { seed: 6 });
  return { shape, data: data.map(Math.abs) };
};

/** Volumes of more than one chunk of 4096 voxels, the last not full. */
const LONG = [1, 1, 17, 16, 17];
const LONG_TWO = [1, 2, 17, 16, 17];
/** Two such volumes of several channels, so that each must be found. */
const CHUNKS = [2, 2, 1, 41, 101];
const CHUNKS_FIVE = [2, 5, 1, 41, 101];

const squared = (name: string, a: Array64, weight?: Array64): OpCase => ({
  op: "meanSquaredError",
  name,
  inputs: { a, b: random(a.shape, { seed: 2 }) },
  constants: weight ? { weight } : {},
  run: ({ a, b, weight }) => meanSquaredError(a!, b!, weight),
  reference: ({ a, b, weight }) => reference.meanSquaredError(a!, b!, weight),
});

const entropy = (name: string, logits: Array64, weight: Array64): OpCase => ({
  op: "crossEntropy",
  name,
  inputs: { logits },
  constants: { weight, label: labelOf(logits, weight.data.length) },
  run: ({ logits, label, weight }) => crossEntropy(logits!, label!, weight!),
  reference: ({ logits, label, weight }) => reference.crossEntropy(logits!, label!, weight!),
});

const dice = (name: string, logits: Array64, { classes = logits.shape[1]!, smooth = 1e-5 } = {}): OpCase => ({
  op: "diceLoss",
  name,
  inputs: { logits },
  constants: { label: labelOf(logits, classes) },
  run: ({ logits, label }) => diceLoss(logits!, label!, smooth),
  reference: ({ logits, label }) => reference.diceLoss(logits!, label!, smooth),
});

const divergence = (name: string, logits: Array64, targets: Array64, temperature: number): OpCase => ({
  op: "klDivergence",
  name,
  inputs: { logits },
  constants: { targets },
  run: ({ logits, targets }) => klDivergence(logits!, targets!, temperature),
  reference: ({ logits, targets }) => reference.klDivergence(logits!, targets!, temperature),
});

const means = (name: string, features: Array64, { classes = 4, present = 4 } = {}): OpCase => ({
  op: "prototypes",
  name,
  inputs: { features },
  constants: { label: labelOf(features, present) },
  run: ({ features, label }) => prototypes(features!, label!, classes),
  reference: ({ features, label }) => reference.prototypes(features!, label!, classes),
});

const cosines = (name: string, features: Array64, { classes = 4, eps = 1e-5 } = {}): OpCase => ({
  op: "cosineMaps",
  name,
  inputs: { features, prototypes: random([features.shape[0]!, classes, features.shape[1]!], { seed: 3 }) },
  run: ({ features, prototypes }) => cosineMaps(features!, prototypes!, eps),
  reference: ({ features, prototypes }) => reference.cosineMaps(features!, prototypes!, eps),
});

const sums = (name: string, weights: number[]): OpCase => ({
  op: "weightedSum",
  name,
  inputs: Object.fromEntries(weights.map((_, i) => [`x${i}`, random([], { seed: i + 1 })])),
  run: (x) => weightedSum(weights.map((weight, i) => [weight, x[`x${i}`]!])),
  reference: (x) => ({
    shape: [],
    data: Float64Array.of(weights.reduce((sum, weight, i) => sum + weight * x[`x${i}`]!.data[0]!, 0)),
  }),
});

function labelOf({ shape: [batch = 1, , ...size] }: Array64, classes: number): Array64 {
  return randomLabels([batch, ...size], classes);
}

/** Logits of one voxel, as float32 has them. */
function near(values: number[]): Array64 {
  return { shape: [1, values.length, 1, 1, 1], data: Float64Array.from(values, Math.fround) };
}

const logits = random([2, 4, 3, 4, 5], { scale: 2 });
const features = random([2, 3, 3, 4, 5]);
/** Odd in every way: no workgroup or tile divides the numbers of samples, voxels and elements. */
const ODD = [2, 3, 3, 5, 7];
const weight = vector(0.1, 0.9, 0.8, 0.95);

export const losses: OpCase[] = [
  squared("four numbers", random([4])),
  squared("volumes of an odd size", random([2, 3, 3, 5, 7])),
  squared("volumes of two chunks", random(LONG)),
  squared("40 channels", random([1, 40, 1, 2, 3]), positive(40)),
  squared("two of three channels", random([2, 3, 3, 5, 7]), vector(1, 0, 1)),
  squared("no channel left", random([2, 3, 1, 2, 2]), vector(0, 0, 0)),
  entropy("a batch of two", logits, weight),
  entropy("odd sizes", random(ODD, { scale: 2 }), vector(0.1, 0.9, 0.8)),
  entropy("one voxel", random([1, 3, 1, 1, 1]), vector(0.5, 0.7, 1)),
  entropy("one class", random([1, 1, 2, 2, 2]), vector(0.7)),
  entropy("40 classes", random([1, 40, 1, 2, 3]), positive(40)),
  entropy("volumes of two chunks", random(LONG_TWO), vector(0.3, 0.7)),
  entropy("a class of weight 0", logits, vector(0, 0.9, 0.8, 0.95)),
  entropy("no weight at all", random([1, 2, 1, 2, 3]), vector(0, 0)),
  entropy("large logits", random([2, 4, 3, 4, 5], { scale: 40, offset: 100 }), weight),
  entropy("five classes", random([1, 5, 2, 3, 5]), vector(0.1, 0.9, 0.8, 0.95, 1)),
  dice("a batch of two", logits),
  dice("odd sizes", random(ODD, { scale: 2 })),
  dice("40 classes", random([1, 40, 1, 2, 3])),
  dice("volumes of two chunks", random(LONG_TWO)),
  dice("one voxel", random([1, 3, 1, 1, 1])),
  dice("one class", random([1, 1, 2, 2, 2])),
  dice("a class without voxels", logits, { classes: 3 }),
  dice("large logits", random([2, 4, 3, 4, 5], { scale: 40, offset: 100 })),
  dice("seven classes, smooth 1", random([1, 7, 2, 3, 5]), { smooth: 1 }),
  divergence("temperature 10", logits, random(logits.shape, { seed: 2, scale: 3 }), 10),
  divergence("temperature 1, large logits", random(logits.shape, { scale: 20 }), logits, 1),
  divergence("odd sizes", random(ODD, { scale: 2 }), random(ODD, { seed: 2 }), 10),
  divergence("40 classes", random([1, 40, 1, 2, 3]), random([1, 40, 1, 2, 3], { seed: 2 }), 2),
  divergence("volumes of two chunks", random(LONG_TWO), random(LONG_TWO, { seed: 2 }), 2),
  divergence("one voxel", random([1, 3, 1, 1, 1]), random([1, 3, 1, 1, 1], { seed: 2 }), 2),
  divergence("one class", random([1, 1, 2, 2, 2]), random([1, 1, 2, 2, 2], { seed: 2 }), 2),
  means("a batch of two", features),
  means("odd sizes", random(ODD)),
  means("one voxel", random([1, 3, 1, 1, 1])),
  means("one channel, five classes", random([2, 1, 3, 4, 5]), { classes: 5, present: 5 }),
  means("40 channels", random([1, 40, 2, 3, 3])),
  means("a class without voxels", features, { present: 3 }),
  means("volumes of two chunks", random(LONG), { classes: 2, present: 2 }),
  cosines("a batch of two", features),
  cosines("odd sizes", random(ODD)),
  cosines("one channel, eps larger than any product of lengths", random([2, 1, 1, 2, 3]), { eps: 100 }),
  cosines("one voxel", random([1, 3, 1, 1, 1])),
  cosines("40 channels", random([1, 40, 1, 2, 3])),
  cosines("five classes", random([2, 3, 2, 2, 3]), { classes: 5 }),
  cosines("eps larger than about half of the products of lengths", features, { eps: 2.5 }),
  sums("one scalar", [0.5]),
  sums("four scalars", [1, 1, 10, 0.1]),
  sums("seven scalars, one of weight 0", [1, 2, 0, -4, 5, 6, 0.7]),
  sums("eight scalars", [1, 2, 0, -4, 5, 6, 0.7, 3]),
  sums("13 scalars, two whole calls", [1, 2, 0, -4, 5, 6, 0.7, 3, -1, 0.1, 2, 8, -5]),
  sums(
    "20 scalars",
    Array.from({ length: 20 }, (_, i) => (-1) ** i * (i + 0.5)),
  ),
  {
    op: "cosineMaps",
    name: "volumes of two chunks, the gradient of the prototypes",
    inputs: { prototypes: random([1, 3, 2], { seed: 3 }) },
    constants: { features: random([1, 2, ...LONG.slice(2)]) },
    run: ({ features, prototypes }) => cosineMaps(features!, prototypes!),
    reference: ({ features, prototypes }) => reference.cosineMaps(features!, prototypes!),
  },
  {
    op: "weightedSum",
    name: "a scalar twice",
    inputs: { x: random([]) },
    run: ({ x }) =>
      weightedSum([
        [2, x!],
        [3, x!],
      ]),
    reference: ({ x }) => ({ shape: [], data: x!.data.map((value) => 5 * value) }),
  },
  squared("two samples and channels of two chunks", random(CHUNKS)),
  entropy("two samples of two chunks, five classes", random(CHUNKS_FIVE), vector(0.3, 0.7, 1, 0.1, 2)),
  dice("two samples of two chunks, five classes", random(CHUNKS_FIVE)),
  divergence("two samples of two chunks", random(CHUNKS), random(CHUNKS, { seed: 2 }), 2),
  means("two samples and channels of two chunks, five classes", random(CHUNKS), { classes: 5, present: 5 }),
  cosines("two samples and channels of two chunks, five classes", random(CHUNKS), { classes: 5 }),
  ...[random([70, 2, 1, 1, 2])].flatMap((many) => [
    squared("more samples than threads", many),
    entropy("more samples than threads", many, vector(0.3, 0.7)),
    dice("more samples than threads", many),
    divergence("more samples than threads", many, random(many.shape, { seed: 2 }), 2),
    means("more samples than threads", many),
    cosines("more samples than threads", many),
  ]),
  means("two samples of a whole chunk", random([2, 1, 1, 64, 64])),
  cosines("two samples of a whole chunk", random([2, 2, 1, 64, 64])),
  {
    ...divergence(
      "temperature 1, logits whose exponentials overflow",
      random([2, 4, 1, 2, 3], { scale: 100, offset: 200 }),
      random([2, 4, 1, 2, 3], { seed: 2, scale: 100, offset: 200 }),
      1,
    ),
    tolerance: 2e-5, // the last digit of 200 is 2e-5
  },
  {
    // Three classes have q exp(-0.49), two q exp(0.457): close enough for the series, far enough for its last
    // terms.
    ...divergence("close predictions", near([-0.49, 0.457, -0.49, 0.457, -0.49]), near([0, 0, 0, 0, 0]), 1),
    tolerance: 2e-6,
  },
  divergence(
    "predictions closer than their rounded difference",
    near([0.05, -0.04, 0.03]),
    near([0, 0, 0]),
    1,
  ),
  squared("one element", random([1, 1, 1, 1, 1])),
  squared("one channel of weight 0.5", random([2, 1, 1, 2, 3]), vector(0.5)),
  squared("a voxel more than a chunk", random([1, 1, 1, 17, 241])),
  dice("a voxel more than a chunk", random([1, 2, 1, 17, 241])),
  squared("a matrix, weighted", random([4, 3]), vector(0.1, 0.9, 2)),
];
