// Post-processing: the voxels that each rule removes, the class that replaces them, and that the chosen rules
// raise the Dice of the validation cases.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../engine/index.ts";
import { diceByRegion } from "../../model/scoring/metrics.ts";
import {
  choosePostprocessing,
  isNothing,
  NO_POSTPROCESSING,
  postprocess,
  type Postprocessing,
  postprocessingText,
} from "../../model/inference/postprocess.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";

const [ET, CORE, OEDEMA] = [1, 2, 3];

/** One row of voxels of 2 mm³ as a map, and a rule with these parts. */
const grid = (length: number) => ({ size: [1, 1, length] as Vec3, spacing: [1, 1, 2] as Vec3 });
const rule = (parts: Partial<Record<keyof Postprocessing, object>>): Postprocessing => ({
  WT: { ...NO_POSTPROCESSING.WT, ...parts.WT },
  TC: { ...NO_POSTPROCESSING.TC, ...parts.TC },
  ET: { ...NO_POSTPROCESSING.ET, ...parts.ET },
});
const after = (map: number[], parts: Parameters<typeof rule>[0]) => [
  ...postprocess(Uint8Array.from(map), grid(map.length), rule(parts)),
];

test("removed voxels of the whole tumour become background, of the core oedema, of the enhancing tumour core", () => {
  const map = [1, 2, 3, 0, 1, 0, 3, 3, 0, 2];
  assert.equal(after(map, { WT: { largest: true } }), [1, 2, 3, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(after(map, { TC: { largest: true } }), [1, 2, 3, 0, 3, 0, 3, 3, 0, 3]);
  assert.equal(
    after(map, { ET: { largest: true } }),
    [1, 2, 3, 0, 2, 0, 3, 3, 0, 2],
    "the first of equals stays",
  );
});

test("pieces smaller than so many mm³ are removed, and regions smaller than that as a whole", () => {
  const map = [1, 1, 0, 1, 0, 3];
  assert.equal(after(map, { ET: { piece: 2 } }), map, "a voxel has 2");
  assert.equal(after(map, { ET: { piece: 2.1 } }), [1, 1, 0, 2, 0, 3]);
  assert.equal(after(map, { ET: { total: 6 } }), map);
  assert.equal(after(map, { ET: { total: 6.1 } }), [2, 2, 0, 2, 0, 3]);
  assert.equal(after(map, { ET: { piece: 3, total: 5 } }), [2, 2, 0, 2, 0, 3], "all that is left counts");
  assert.equal(after(map, { WT: { piece: 4 } }), [1, 1, 0, 0, 0, 0]);
});

test("the parts of a rule apply in order; pieces touch in corners; an empty map and no rule change nothing", () => {
  const diagonal = Uint8Array.from([ET, 0, 0, CORE]);
  const square = { size: [1, 2, 2] as Vec3, spacing: [1, 1, 1] as Vec3 };
  assert.is(postprocess(diagonal, square, rule({ WT: { largest: true } })), diagonal);
  assert.equal(after([1, 0, 3, 3, 1, 1], { WT: { largest: true }, ET: { total: 6 } }), [0, 0, 3, 3, 2, 2]);
  assert.equal(after([0, 0], { WT: { largest: true }, ET: { total: 5 } }), [0, 0]);
  assert.ok(isNothing(NO_POSTPROCESSING));
  assert.not(isNothing(rule({ ET: { total: 1 } })));
  assert.is(postprocessingText(NO_POSTPROCESSING), "none");
  assert.is(
    postprocessingText(rule({ WT: { largest: true }, ET: { piece: 20, total: 500 } })),
    "WT: the largest piece only; ET: pieces of 20 mm³ and more, none below 500 mm³ in all",
  );
});

/** Cases of 12³ voxels of 8 mm³: a tumour, and, where `stray`, small pieces of it elsewhere. */
function cases({ stray, truly = false }: { stray: number; truly?: boolean }) {
  const size: Vec3 = [12, 12, 12];
  const random = new Random(4);
  return [1, 2, 3].map(() => {
    const reference = new Uint8Array(12 ** 3);
    const put = (map: Uint8Array, [z, y, x]: Vec3, c: number) => (map[(z * 12 + y) * 12 + x] = c);
    for (let i = 0; i < 125; i++)
      put(
        reference,
        [1 + Math.floor(i / 25), 1 + (Math.floor(i / 5) % 5), 1 + (i % 5)],
        i % 2 ? OEDEMA : CORE,
      );
    for (let i = 0; i < 27; i++)
      put(reference, [2 + Math.floor(i / 9), 2 + (Math.floor(i / 3) % 3), 2 + (i % 3)], ET);
    const prediction = reference.slice();
    for (let i = 0; i < stray; i++)
      put(prediction, [8 + random.integer(4), 8 + random.integer(4), 8 + random.integer(4)], OEDEMA);
    return {
      prediction,
      reference: truly ? prediction.slice() : reference,
      size,
      spacing: [2, 2, 2] as Vec3,
    };
  });
}

test("stray pieces are removed where that raises the validation's Dice, by the mildest rule; the scores are its own", () => {
  const given = cases({ stray: 6 });
  const choice = choosePostprocessing(given);
  assert.equal(choice.cases, 3);
  assert.ok(choice.rule.WT.piece > 0 && !choice.rule.WT.largest);
  assert.equal([choice.rule.TC, choice.rule.ET], [NO_POSTPROCESSING.TC, NO_POSTPROCESSING.ET]);
  assert.ok(choice.without.WT < 0.99);
  const scores = given.map(({ prediction, reference, ...grid }) =>
    diceByRegion(postprocess(prediction, grid, choice.rule), reference),
  );
  for (const region of ["WT", "TC", "ET"] as const) {
    assert.ok(Math.abs(choice.with[region] - scores.reduce((sum, s) => sum + s[region] / 3, 0)) < 1e-12);
  }
  assert.is(choice.tries.length, 17);
  const kept = choice.tries.filter((one) => one.kept);
  assert.equal(
    kept.map(({ cleaning, dice }) => [cleaning, dice]),
    [[choice.rule.WT, choice.with]],
  );
  assert.ok(
    choice.tries.every((one) => one.kept || one.region !== "WT" || one.dice.mean <= choice.with.mean),
  );
});

test("nothing is removed where small pieces are tumour, or where no rule is better", () => {
  for (const given of [cases({ stray: 6, truly: true }), cases({ stray: 0 })]) {
    const choice = choosePostprocessing(given);
    assert.equal(choice.rule, NO_POSTPROCESSING);
    assert.equal(choice.with, choice.without);
    assert.is(choice.with.mean.toFixed(9), "1.000000000");
  }
});

test("a few false voxels of enhancing tumour become core: BraTS scores 1 where both maps lack the region", () => {
  const given = cases({ stray: 0 }).map((one) => {
    const reference = one.reference.map((c) => (c === ET ? CORE : c));
    const prediction = reference.slice();
    prediction[reference.indexOf(CORE)] = ET;
    return { ...one, prediction, reference };
  });
  const choice = choosePostprocessing(given);
  assert.is(choice.without.ET, 0);
  assert.ok(Math.abs(choice.with.ET - 1) < 1e-12);
  assert.ok(choice.rule.ET.piece > 8 || choice.rule.ET.total > 8);
});

test("cases without any tumour, predicted or true, count as right", () => {
  const empty = { size: [2, 2, 2] as Vec3, spacing: [1, 1, 1] as Vec3 };
  const nothing = { ...empty, prediction: new Uint8Array(8), reference: new Uint8Array(8) };
  assert.is(choosePostprocessing([nothing]).with.mean, 1);
});

test.run();
