import { angleLoss } from "../../../engine/ops/angleLoss.ts";
import { mixtureDivergence } from "../../../engine/ops/mixtureDivergence.ts";
import { normaliseChannels } from "../../../engine/ops/normaliseChannels.ts";
import { softmax } from "../../../engine/ops/softmax.ts";
import { teacherMixture } from "../../../engine/ops/teacherMixture.ts";
import { teacherWeights } from "../../../engine/ops/teacherWeights.ts";
import { type Array64, type OpCase, random } from "../gradcheck.ts";
import * as reference from "../reference/teachers.ts";

/** Odd in every way, one voxel, one channel, many channels, and more voxels than a workgroup takes. */
const SHAPES: readonly (readonly [name: string, shape: readonly number[]])[] = [
  ["odd sizes", [2, 3, 3, 5, 7]],
  ["one voxel", [2, 3, 1, 1, 1]],
  ["one channel", [2, 1, 1, 2, 3]],
  ["40 channels", [1, 40, 1, 2, 3]],
  ["two samples of two chunks", [2, 2, 1, 41, 203]],
  ["more samples than threads", [70, 2, 1, 1, 2]],
];

const weights = (name: string, [samples, teachers, width]: [number, number, number]): OpCase => ({
  op: "teacherWeights",
  name,
  inputs: {
    features: random([samples, width]),
    factors: random([teachers, width], { seed: 2, scale: 0.7 }),
    blend: random([width], { seed: 3, scale: 0.7 }),
  },
  run: ({ features, factors, blend }) => teacherWeights(features!, factors!, blend!),
  reference: ({ features, factors, blend }) => reference.teacherWeights(features!, factors!, blend!),
});

const mixtures = (teachers: number): OpCase[] =>
  SHAPES.map(([name, shape]) => {
    const names = Array.from({ length: teachers }, (_, m) => `z${m}`);
    return {
      op: "teacherMixture",
      name: `${name}, ${teachers} teachers`,
      inputs: { w: random([shape[0]!, teachers]) },
      constants: Object.fromEntries(names.map((z, m) => [z, random(shape, { seed: m + 2, scale: 3 })])),
      run: ({ w, ...z }) =>
        teacherMixture(
          names.map((one) => z[one]!),
          w!,
          5,
        ),
      reference: ({ w, ...z }) =>
        reference.teacherMixture(
          names.map((one) => z[one]!),
          w!,
          5,
        ),
    };
  });

const angle = (name: string, shape: readonly number[]): OpCase => ({
  op: "angleLoss",
  name,
  inputs: { s: random(shape) },
  constants: { t: random(shape, { seed: 2 }) },
  run: ({ s, t }) => angleLoss(s!, t!),
  reference: ({ s, t }) => reference.angleLoss(s!, t!),
  step: 1e-5, // smooth L1 has a kink in its slope
});

/** Nine tenths of probabilities: where there is one class, it is then not certain. */
function mostOf({ shape, data }: Array64): Array64 {
  return { shape, data: data.map((p) => Math.fround(0.9 * p)) };
}

export const teachers: OpCase[] = [
  weights("three teachers", [5, 3, 7]),
  weights("one of each", [1, 1, 1]),
  weights("one feature", [3, 2, 1]),
  weights("40 features", [2, 4, 40]),
  weights("more samples than threads", [131, 3, 5]),
  ...mixtures(3),
  ...mixtures(1).slice(0, 1),
  ...SHAPES.map(([name, shape]): OpCase => ({
    op: "mixtureDivergence",
    name,
    inputs: {
      logits: random(shape, { scale: 3 }),
      q: mostOf(reference.softened(random(shape, { seed: 2 }), 2)),
    },
    step: 1e-5, // the logarithm of a small q curves
    run: ({ logits, q }) => mixtureDivergence(logits!, q!, 2),
    reference: ({ logits, q }) => reference.mixtureDivergence(logits!, q!, 2),
  })),
  angle("seven rows of five", [7, 5]),
  angle("nine rows of nine", [9, 9]),
  angle("two samples of four classes", [2, 4, 4]),
  angle("rows of 40", [3, 40]),
  ...SHAPES.filter(([name]) => name !== "one channel").map(([name, shape]): OpCase => ({
    op: "normaliseChannels",
    name,
    inputs: { x: random(shape, { offset: 1 }) },
    run: ({ x }) => normaliseChannels(x!),
    reference: ({ x }) => reference.normaliseChannels(x!),
  })),
  ...SHAPES.map(([name, shape]): OpCase => ({
    op: "softmax",
    name: `${name}, softened`,
    inputs: { x: random(shape, { scale: 4 }) },
    run: ({ x }) => softmax(x!, 5),
    reference: ({ x }) => reference.softened(x!, 5),
  })),
];
