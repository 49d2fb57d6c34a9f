import { regionScores, scoreLoss } from "../../../engine/ops/regionScores.ts";
import { scaleColumns } from "../../../engine/ops/scaleColumns.ts";
import { type Array64, type OpCase, random, randomLabels } from "../gradcheck.ts";
import * as reference from "../reference/presence.ts";

const scores = (
  name: string,
  [samples, regions, findings]: readonly [number, number, number],
  { scale, spread = 1, offset = 0 }: { scale?: number; spread?: number; offset?: number } = {},
): OpCase => ({
  op: "regionScores",
  name,
  inputs: {
    c: random([samples * regions, findings], { seed: 3, scale: spread, offset }),
    d: random([samples * regions, findings], { seed: 5, scale: spread, offset }),
  },
  run: ({ c, d }) => regionScores(c!, d!, samples, scale),
  reference: ({ c, d }) => reference.regionScores(c!, d!, samples, scale ?? 1),
});

/** Numbers from `low` to `high`, exact in float32. */
function between(shape: readonly number[], low: number, high: number): Array64 {
  const { data } = random(shape, { seed: 9 });
  return { shape, data: data.map((x) => Math.fround(low + (high - low) / (1 + Math.exp(-x)))) };
}

const loss = (name: string, s: Array64, least?: number): OpCase => ({
  op: "scoreLoss",
  name,
  inputs: { s },
  constants: { y: randomLabels(s.shape, 2) },
  run: ({ s, y }) => (least === undefined ? scoreLoss(s!, y!) : scoreLoss(s!, y!, least)),
  reference: ({ s, y }) => reference.scoreLoss(s!, y!, least ?? 1e-4),
  step: 1e-6,
});

const columns = (name: string, shape: readonly [number, number]): OpCase => ({
  op: "scaleColumns",
  name,
  inputs: { x: random(shape), scale: random([shape[1]], { seed: 2 }) },
  run: ({ x, scale }) => scaleColumns(x!, scale!),
  reference: ({ x, scale }) => reference.scaleColumns(x!, scale!),
});

export const presence: OpCase[] = [
  scores("three findings in nine regions of two samples", [2, 9, 3]),
  scores("sharpened", [2, 9, 3], { scale: 2 }),
  scores("a region", [3, 1, 4]),
  scores("more regions than a workgroup has threads", [2, 201, 3]),
  scores("more samples than threads", [131, 2, 2]),
  scores("40 findings", [1, 5, 40]),
  scores("five findings", [1, 13, 5], { spread: 3 }),
  scores("exponentials that overflow", [2, 7, 3], { spread: 10, offset: 300 }),
  scores("exponentials that underflow", [2, 7, 3], { spread: 10, offset: -300 }),
  loss("two samples", between([2, 3], 0.05, 0.95)),
  loss("more scores than threads", between([101, 3], 0.05, 0.95)),
  loss("40 scores of a sample", between([3, 40], 0.05, 0.95)),
  loss("one score", between([1, 1], 0.2, 0.8)),
  loss("scores that are not bounded", between([7, 5], 0.01, 0.99), 1e-6),
  loss("scores below the bounds, which have no gradient", between([7, 5], -0.2, 1.2), 0.1),
  columns("seven rows of three", [7, 3]),
  columns("40 columns", [3, 40]),
  columns("one row", [1, 5]),
  columns("one column", [131, 1]),
  columns("more columns than threads", [3, 131]),
];
