// Ops that compute several losses in one pass, against the losses one by one.

import { classCounts } from "../../../engine/ops/classCounts.ts";
import { prototypeDistance } from "../../../engine/ops/prototypeDistance.ts";
import { segmentationLosses } from "../../../engine/ops/segmentationLosses.ts";
import { weightedSum } from "../../../engine/ops/weightedSum.ts";
import { free } from "../../../engine/autograd/tensor.ts";
import { type Array64, type OpCase, random, randomLabels } from "../gradcheck.ts";
import * as reference from "../reference/losses.ts";

/** The weights of the terms in the sum to check: of all, or of one. */
type Share = { crossEntropy?: number; dice?: number; divergence?: number };

interface Options {
  targets?: Array64;
  /** The classes in the label. */
  present?: number;
  smooth?: number;
  temperature?: number;
  share?: Share;
}

const ALL: Share = { crossEntropy: 0.7, dice: -1.3, divergence: 9 };

const labelOf = ({ shape: [batch = 1, , ...size] }: Array64, classes: number): Array64 =>
  randomLabels([batch, ...size], classes);

/** w_c = 1 - share of class c, as the sum of the other shares. */
function rarity(label: Array64, classes: number): Array64 {
  const shares = Array.from({ length: classes }, (_, c) => label.data.filter((k) => k === c).length);
  const data = shares.map((_, c) => shares.reduce((sum, count, k) => sum + (k === c ? 0 : count), 0));
  return { shape: [classes], data: Float64Array.from(data, (count) => count / label.data.length) };
}

const segmentation = (
  name: string,
  logits: Array64,
  { targets, present = logits.shape[1]!, smooth = 1e-5, temperature = 10, share = ALL }: Options = {},
): OpCase => ({
  op: "segmentationLosses",
  name,
  inputs: { logits },
  constants: { label: labelOf(logits, present), ...(targets && { targets }) },
  run: ({ logits, label, targets }) => {
    const losses = segmentationLosses(logits!, label!, { targets, temperature, smooth });
    const terms = (["crossEntropy", "dice", "divergence"] as const).flatMap((term) =>
      losses[term] && share[term] ? [[share[term], losses[term]] as const] : [],
    );
    const sum = weightedSum(terms);
    Object.values(losses).forEach(free);
    return sum;
  },
  reference: ({ logits, label, targets }) => {
    const weight = rarity(label!, logits!.shape[1]!);
    const terms = [
      (share.crossEntropy ?? 0) * reference.crossEntropy(logits!, label!, weight).data[0]!,
      (share.dice ?? 0) * reference.diceLoss(logits!, label!, smooth).data[0]!,
      targets ? (share.divergence ?? 0) * reference.klDivergence(logits!, targets, temperature).data[0]! : 0,
    ];
    return { shape: [], data: Float64Array.of(terms.reduce((a, b) => a + b)) };
  },
});

const distance = (
  name: string,
  student: Array64,
  { classes = 4, present = classes, step }: { classes?: number; present?: number; step?: number } = {},
): OpCase => ({
  op: "prototypeDistance",
  name,
  step,
  inputs: { student },
  constants: { teacher: random(student.shape, { seed: 2, offset: 0.5 }), label: labelOf(student, present) },
  run: ({ student, teacher, label }) => {
    const counts = classCounts(label!, classes);
    const y = prototypeDistance(student!, teacher!, label!, counts);
    free(counts);
    return y;
  },
  reference: ({ student, teacher, label }) => {
    const maps = (f: Array64) => reference.cosineMaps(f, reference.prototypes(f, label!, classes));
    const batch = student!.shape[0]!;
    const voxels = label!.data.length / batch;
    const common = Float64Array.from({ length: classes }, (_, k) =>
      Number(
        Array.from({ length: batch }, (_, n) => n).every((n) =>
          label!.data.subarray(n * voxels, (n + 1) * voxels).includes(k),
        ),
      ),
    );
    return reference.meanSquaredError(maps(student!), maps(teacher!), { shape: [classes], data: common });
  },
});

const second = ({ shape }: Array64, scale = 2) => random(shape, { seed: 2, scale });
const taught = (name: string, logits: Array64, options: Options = {}): OpCase =>
  segmentation(name, logits, { targets: second(logits), ...options });

const logits = random([2, 4, 3, 4, 5], { scale: 2 });
/** Odd in every way; more than one chunk of 4096 voxels, the last not full; two samples of several. */
const ODD = [2, 3, 3, 5, 7];
const LONG = [1, 2, 17, 16, 17];
const CHUNKS = [2, 4, 1, 41, 101];
const MANY = [70, 2, 1, 1, 2];

/** The powers of each class in turn overflow. */
const farApart: Array64 = {
  shape: [1, 4, 1, 2, 4],
  data: random([32]).data.map((x, i) => Math.fround(x + (Math.floor(i / 8) === i % 4 ? 150 : 0))),
};

/** Values that differ from the given ones by about `distance`. */
function nearly({ shape, data }: Array64, distance: number): Array64 {
  const other = random(shape, { seed: 2, scale: distance }).data;
  return { shape, data: data.map((x, i) => Math.fround(x + other[i]!)) };
}

export const jointLosses: OpCase[] = [
  segmentation("a batch of two, without a teacher", logits),
  taught("a batch of two", logits),
  taught("cross-entropy alone", logits, { share: { crossEntropy: 2 } }),
  taught("Dice alone", logits, { share: { dice: 2 } }),
  taught("the divergence alone", logits, { share: { divergence: 2 } }),
  taught("odd sizes", random(ODD, { scale: 2 })),
  taught("one voxel", random([1, 3, 1, 1, 1])),
  taught("one class", random([1, 1, 2, 2, 2]), { share: { crossEntropy: 1, dice: 1 } }),
  taught("logits far apart", farApart, { temperature: 1 }),
  taught("a teacher of nearly the same opinion", logits, {
    targets: nearly(logits, 0.1),
    temperature: 1,
    share: { divergence: 1e4 },
  }),
  taught("five classes", random([1, 5, 2, 3, 5])),
  segmentation("40 classes, without a teacher", random([1, 40, 1, 2, 3])),
  taught("volumes of two chunks", random(LONG)),
  taught("two samples of two chunks", random(CHUNKS)),
  taught("more samples than threads", random(MANY)),
  taught("more chunks than threads", random([1, 2, 65, 64, 64]), { temperature: 2 }),
  taught("a voxel more than a tile", random([2, 2, 1, 27, 19]), { temperature: 1 }),
  taught("a class without voxels, smooth 1, temperature 3", logits, {
    present: 3,
    smooth: 1,
    temperature: 3,
  }),
  taught("large logits", random(logits.shape, { scale: 40, offset: 100 })),
  taught("one class of four in the label", logits, { present: 1, share: { crossEntropy: 1, dice: 1 } }),
  distance("a batch of two", random([2, 3, 3, 4, 5])),
  distance("odd sizes", random(ODD), { classes: 3 }),
  distance("one voxel, of a class of three", random([1, 3, 1, 1, 1]), { classes: 3, present: 1 }),
  // With one channel every cosine is 1 or -1, except where eps clamps; a class's mean is shorter than its
  // features.
  distance("one channel, too short for eps", random([2, 1, 3, 4, 5], { scale: 1e-3 }), {
    classes: 2,
    step: 1e-5,
  }),
  distance("16 channels", random([2, 16, 2, 3, 3]), { classes: 2 }),
  distance("17 channels", random([1, 17, 2, 3, 3])),
  distance("40 channels, a class without voxels", random([1, 40, 2, 3, 3]), { present: 3 }),
  distance("five classes", random([1, 3, 3, 5, 7]), { classes: 5 }),
  distance("a class without voxels", random([2, 3, 3, 4, 5]), { present: 3 }),
  distance("volumes of two chunks", random([1, 5, 17, 16, 17])),
  distance("two samples of two chunks", random([2, 6, 1, 41, 101])),
  distance("more samples than threads", random([70, 2, 1, 1, 5]), { classes: 1 }),
];
