import { channelRows } from "../../../engine/ops/channelRows.ts";
import { contrastiveLoss } from "../../../engine/ops/contrastiveLoss.ts";
import { maskedSoftCrossEntropy } from "../../../engine/ops/maskedSoftCrossEntropy.ts";
import { normaliseRows } from "../../../engine/ops/normaliseRows.ts";
import { type Array64, type OpCase, random, randomLabels } from "../gradcheck.ts";
import * as reference from "../reference/paired.ts";

const ODD = [2, 3, 3, 5, 7];
const ODD_ALL = [3, 3, 3, 5, 7];

const lengths = (name: string, x: Array64, eps?: number): OpCase => ({
  op: "normaliseRows",
  name,
  inputs: { x },
  run: ({ x }) => normaliseRows(x!, eps),
  reference: ({ x }) => reference.normaliseRows(x!, eps),
});

const contrast = (
  name: string,
  a: Array64,
  { b = random(a.shape, { seed: 2 }), margin = 1 }: { b?: Array64; margin?: number } = {},
): OpCase => ({
  op: "contrastiveLoss",
  name,
  inputs: { a, b },
  run: ({ a, b }) => contrastiveLoss(a!, b!, margin),
  reference: ({ a, b }) => reference.contrastiveLoss(a!, b!, margin),
});

const rows = (name: string, x: Array64): OpCase => ({
  op: "channelRows",
  name,
  inputs: { x },
  run: ({ x }) => channelRows(x!),
  reference: ({ x }) => reference.channelRows(x!),
});

interface Options {
  targets?: Array64;
  label?: Array64;
  temperature?: number;
  clip?: number;
}

const masked = (
  name: string,
  logits: Array64,
  { targets = random(logits.shape, { seed: 2, scale: 2 }), label, temperature, clip }: Options = {},
): OpCase => {
  const [batch = 1, classes = 1, ...size] = logits.shape;
  return {
    op: "maskedSoftCrossEntropy",
    name,
    inputs: { logits },
    constants: {
      targets,
      label: label ?? randomLabels([batch, ...size], classes),
      held: { shape: logits.shape, data: logits.data.slice() }, // the weights do not follow the logits
    },
    run: ({ logits, targets, label }) =>
      maskedSoftCrossEntropy(logits!, targets!, label!, { temperature, clip }),
    reference: ({ logits, ...constants }) =>
      reference.maskedSoftCrossEntropy(logits!, constants, temperature, clip),
  };
};

/** Values near those of another array. */
function nearly({ shape, data }: Array64, distance: number): Array64 {
  const other = random(shape, { seed: 2, scale: distance }).data;
  return { shape, data: data.map((x, i) => Math.fround(x + other[i]!)) };
}

/** Logits that are surely right, or surely wrong in one voxel of seven. */
function sure(shape: readonly number[], label: Array64, scale: number): Array64 {
  const classes = shape[1]!;
  const voxels = label.data.length / shape[0]!;
  const { data } = random(shape, { seed: 5 });
  label.data.forEach((k, i) => {
    const right = i % 7 ? k : (k + 1) % classes;
    data[(Math.floor(i / voxels) * classes + right) * voxels + (i % voxels)]! += scale;
  });
  return { shape, data: data.map(Math.fround) };
}

const label = randomLabels([2, 3, 5, 7], 3);

export const paired: OpCase[] = [
  rows("a batch of two", random([2, 4, 3, 4, 5])),
  rows("a batch of odd sizes", random(ODD_ALL)),
  rows("one voxel", random([2, 3, 1, 1, 1])),
  rows("one channel", random([3, 1, 1, 3, 5])),
  rows("40 channels", random([1, 40, 1, 2, 3])),
  lengths("seven rows of 13", random([7, 13])),
  lengths("a batch of odd sizes", random(ODD_ALL)),
  lengths("one voxel", random([2, 3, 1, 1, 1])),
  lengths("one channel", random([5, 1])),
  lengths("40 channels, one row", random([1, 40])),
  lengths("rows of more elements than a workgroup has threads", random([3, 2, 1, 9, 11], { scale: 100 })),
  lengths("more rows than threads", random([131, 3])),
  { ...lengths("rows shorter than eps", random([3, 5], { scale: 1e-2 }), 0.5), step: 1e-5 },
  contrast("seven rows of 13", random([7, 13], { scale: 0.1 }), {
    b: random([7, 13], { seed: 2, scale: 0.1 }),
  }),
  contrast("a batch of odd sizes", random(ODD_ALL), { margin: 20 }),
  contrast("one row", random([1, 5])),
  contrast("one voxel", random([2, 3, 1, 1, 1]), { margin: 4 }),
  contrast("one channel", random([5, 1])),
  contrast("40 channels, beyond the margin", random([3, 40])),
  contrast("three rows of 40", random([3, 40]), { margin: 12 }),
  contrast("nearly the same rows", random([5, 9]), { b: nearly(random([5, 9]), 1e-2), margin: 6 }),
  contrast("more pairs than threads", random([11, 7]), { margin: 5 }),
  contrast("rows of more elements than threads", random([3, 2, 1, 9, 11]), { margin: 25 }),
  masked("a batch of two", random([2, 4, 3, 4, 5], { scale: 2 })),
  masked("odd sizes", random(ODD, { scale: 2 })),
  masked("odd sizes, temperature 1, a clip that cuts", random(ODD, { scale: 3 }), {
    temperature: 1,
    clip: 0.2,
  }),
  masked("one voxel, of a teacher that is right", random([1, 3, 1, 1, 1]), {
    targets: { shape: [1, 3, 1, 1, 1], data: Float64Array.of(0, 4, 1) },
    label: { shape: [1, 1, 1, 1], data: Float64Array.of(1) },
  }),
  masked("one class", random([1, 1, 2, 2, 2])),
  masked("no clip", random([2, 3, 1, 3, 5], { scale: 20 }), { temperature: 1, clip: 0 }),
  masked("five classes", random([1, 5, 2, 3, 5])),
  masked("40 classes", random([1, 40, 1, 4, 5]), {
    targets: sure([1, 40, 1, 4, 5], randomLabels([1, 1, 4, 5], 40), 9),
  }),
  masked("classes whose logits are the same", random([1, 4, 1, 3, 5]), {
    targets: { shape: [1, 4, 1, 3, 5], data: new Float64Array(60) },
  }),
  masked("a teacher that is nowhere right", random([1, 2, 1, 3, 5]), {
    label: { shape: [1, 1, 3, 5], data: new Float64Array(15) },
    targets: { shape: [1, 2, 1, 3, 5], data: Float64Array.from({ length: 30 }, (_, i) => Number(i >= 15)) },
  }),
  masked("sure predictions", sure(ODD, randomLabels([2, 3, 5, 7], 3, 8), 12), {
    label,
    targets: sure(ODD, label, 14),
  }),
  masked("exponentials that overflow", random(ODD, { scale: 40, offset: 200 }), {
    label,
    targets: sure(ODD, label, 120),
  }),
  masked("volumes of two chunks", random([1, 2, 17, 16, 17])),
  masked("two samples of several chunks", random([2, 3, 1, 41, 101]), { temperature: 2, clip: 0.1 }),
  masked("more samples than threads", random([70, 2, 1, 1, 2])),
];
