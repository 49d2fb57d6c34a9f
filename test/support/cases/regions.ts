import { binaryLosses } from "../../../engine/ops/binaryLosses.ts";
import { featureDivergence } from "../../../engine/ops/featureDivergence.ts";
import { type Regions, regionLogits } from "../../../engine/ops/regionLogits.ts";
import { weightedSum } from "../../../engine/ops/weightedSum.ts";
import { free } from "../../../engine/autograd/tensor.ts";
import { type Array64, type OpCase, random } from "../gradcheck.ts";
import * as reference from "../reference/regions.ts";

/** Whole tumour, tumour core, enhancing tumour. */
export const TUMOUR: Regions = [[1, 2, 3], [1, 2], [1]];

/** Odd sizes: no kernel's workgroup or tile holds a whole number of them. */
const ODD = [2, 3, 3, 5, 7];
const ODD_ALL = [3, 3, 3, 5, 7];
/** More than one chunk of 4096 voxels, the last not full; two samples and channels of them. */
const LONG = [1, 1, 17, 16, 17];
const CHUNKS = [2, 3, 1, 41, 101];
const MANY = [70, 2, 1, 1, 2];

const logits = random([2, 4, 3, 4, 5], { scale: 3 });

const regional = (name: string, logits: Array64, regions: Regions = TUMOUR): OpCase => ({
  op: "regionLogits",
  name,
  inputs: { logits },
  run: ({ logits }) => regionLogits(logits!, regions),
  reference: ({ logits }) => reference.regionLogits(logits!, regions),
});

/** Weights of the terms in the sum that is checked: both of them, or one. */
type Share = { crossEntropy?: number; dice?: number };

interface Options {
  targets?: Array64;
  temperature?: number;
  smooth?: number;
  share?: Share;
}

const BOTH: Share = { crossEntropy: 0.7, dice: -1.3 };

/** Repeatable values in 0 … 1, exact in float32. */
function soft(shape: readonly number[], scale = 2): Array64 {
  const { data } = random(shape, { seed: 2, scale });
  return { shape, data: data.map((x) => Math.fround(1 / (1 + Math.exp(-x)))) };
}

/** 1 where a value is above 0.5, else 0. */
const hard = (shape: readonly number[]): Array64 => ({ shape, data: soft(shape).data.map(Math.round) });

const binary = (
  name: string,
  logits: Array64,
  { targets = soft(logits.shape), temperature = 1, smooth = 1e-5, share = BOTH }: Options = {},
): OpCase => ({
  op: "binaryLosses",
  name,
  inputs: { logits },
  constants: { targets },
  run: ({ logits, targets }) => {
    const losses = binaryLosses(logits!, targets!, { temperature, smooth });
    const terms = (["crossEntropy", "dice"] as const).flatMap((term) =>
      share[term] ? [[share[term], losses[term]] as const] : [],
    );
    const sum = weightedSum(terms);
    Object.values(losses).forEach(free);
    return sum;
  },
  reference: ({ logits, targets }) => {
    const entropy = reference.binaryCrossEntropy(logits!, targets!, temperature).data[0]!;
    const dice = reference.softDice(logits!, targets!, temperature, smooth).data[0]!;
    return {
      shape: [],
      data: Float64Array.of((share.crossEntropy ?? 0) * entropy + (share.dice ?? 0) * dice),
    };
  },
});

const features = (name: string, student: Array64, teacher = random(student.shape, { seed: 2 })): OpCase => ({
  op: "featureDivergence",
  name,
  inputs: { student },
  constants: { teacher },
  run: ({ student, teacher }) => featureDivergence(student!, teacher!),
  reference: ({ student, teacher }) => reference.featureDivergence(student!, teacher!),
});

/** Other values, that differ by about `distance`. */
function nearly({ shape, data }: Array64, distance: number): Array64 {
  const other = random(shape, { seed: 2, scale: distance }).data;
  return { shape, data: data.map((x, i) => Math.fround(x + other[i]!)) };
}

/** Values whose last one outweighs the others together. */
function peaked(shape: readonly number[]): Array64 {
  const { data } = random(shape);
  data[data.length - 1]! += 14;
  return { shape, data: data.map(Math.fround) };
}

export const regions: OpCase[] = [
  regional("a batch of two", logits),
  regional("odd sizes", random(ODD), [[1, 2], [1], [0, 2]]),
  regional("large logits", random(logits.shape, { scale: 40, offset: 100 })),
  regional("one voxel", random([1, 4, 1, 1, 1])),
  regional("one region", random([2, 2, 1, 2, 3]), [[0]]),
  regional("40 classes", random([1, 40, 1, 2, 3]), [
    [0, 31, 32],
    [5, 39],
    Array.from({ length: 39 }, (_, c) => c),
  ]),
  regional("five overlapping regions of five classes", random([3, 5, 1, 3, 3]), [
    [4],
    [0, 1],
    [1, 2],
    [2, 3],
    [0, 4],
  ]),
  regional(
    "128 classes in eight regions",
    random([1, 128, 1, 1, 3]),
    Array.from({ length: 8 }, (_, r) => Array.from({ length: 16 }, (_, c) => 16 * r + c)),
  ),
  regional("volumes of many workgroups", random([1, 3, 17, 16, 17], { scale: 2 }), [[2], [0, 1]]),
  binary("a batch of two", random([2, 3, 3, 4, 5], { scale: 2 })),
  binary("odd sizes, of masks", random(ODD, { scale: 2 }), { targets: hard(ODD) }),
  binary("odd sizes, temperature 5", random(ODD_ALL, { scale: 4 }), { temperature: 5 }),
  binary("cross-entropy alone", random(ODD), { share: { crossEntropy: 2 } }),
  binary("Dice alone, smooth 1", random(ODD), { share: { dice: 2 }, smooth: 1 }),
  binary("Dice of predictions that nearly agree", random(ODD), {
    targets: { shape: ODD, data: random(ODD).data.map((x) => Math.fround(1 / (1 + Math.exp(-1.1 * x)))) },
    share: { dice: 1e3 },
  }),
  binary("sure predictions, right and wrong", random(ODD, { scale: 40 }), { targets: hard(ODD) }),
  binary(
    "sure predictions, all right",
    { shape: ODD, data: hard(ODD).data.map((t, i) => (2 * t - 1) * (9 + (i % 7))) },
    {
      targets: hard(ODD),
      share: { crossEntropy: 1e4, dice: 1e3 },
    },
  ),
  binary("a matrix", random([5, 3])),
  binary("one voxel", random([1, 3, 1, 1, 1])),
  binary("one channel", random([3, 1, 1, 3, 5])),
  binary("40 channels", random([1, 40, 1, 2, 3])),
  binary("one prediction", random([1, 1])),
  binary("volumes of two chunks", random(LONG)),
  binary("two samples and three channels of two chunks", random(CHUNKS), { temperature: 2 }),
  binary("more samples than threads", random(MANY)),
  features("a batch of two", random([2, 3, 3, 4, 5])),
  features("odd sizes", random(ODD_ALL, { scale: 2 })),
  features("one element", random([2, 1, 1, 1, 1])),
  features("one voxel", random([3, 5, 1, 1, 1])),
  features("one channel", random([3, 1, 1, 3, 5])),
  features("40 channels", random([1, 40, 1, 2, 3])),
  features("a matrix", random([5, 7])),
  features("exponentials that overflow", random(ODD, { scale: 40, offset: 200 })),
  features("nearly the same", random(ODD), nearly(random(ODD), 0.03)),
  features("one element in ten larger", random(ODD), {
    shape: ODD,
    data: random(ODD).data.map((x, i) => Math.fround(i % 10 ? x : x + 0.52)),
  }),
  features("volumes of two chunks", random(LONG)),
  features("two samples of several chunks", random(CHUNKS, { scale: 3 })),
  features("more samples than threads", random(MANY)),
  features("more chunks than threads", peaked([1, 1, 65, 64, 64])),
];
