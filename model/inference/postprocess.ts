// Post-processing of a predicted class map: removes small or stray pieces of regions. The rule comes from a
// small grid search on validation cases, for the best mean Dice.

import { components, type Components } from "../scoring/lesions.ts";
import { tighten } from "../scoring/masks.ts";
import { diceByRegion } from "../scoring/metrics.ts";
import { type Region, REGION_NAMES, REGIONS, type Vec3 } from "../scoring/regions.ts";

/** The pieces to remove from one region. A piece is 26-connected; 0 and false remove nothing. */
export interface Cleaning {
  /** All pieces but the largest. */
  largest: boolean;
  /** Pieces smaller than this, in mm³. */
  piece: number;
  /** The whole region, if it is smaller than this, in mm³. */
  total: number;
}

/** The rule of each region, applied from WT to ET. */
export type Postprocessing = Readonly<Record<Region, Readonly<Cleaning>>>;

const NOTHING: Readonly<Cleaning> = { largest: false, piece: 0, total: 0 };

/** The rule that removes nothing. */
export const NO_POSTPROCESSING: Postprocessing = { WT: NOTHING, TC: NOTHING, ET: NOTHING };

/** The class that removed voxels get: background outside WT, oedema outside TC, necrotic core outside ET. */
const INSTEAD: Readonly<Record<Region, number>> = { WT: 0, TC: 3, ET: 2 };

/** The options to try, mildest first; each row starts from the choices of the rows before. */
const TRIED: readonly { region: Region; options: readonly Partial<Cleaning>[] }[] = [
  { region: "WT", options: [{ piece: 100 }, { piece: 500 }, { piece: 2000 }, { largest: true }] },
  { region: "TC", options: [{ piece: 50 }, { piece: 200 }, { piece: 1000 }, { largest: true }] },
  { region: "ET", options: [{ piece: 20 }, { piece: 50 }, { piece: 200 }, { largest: true }] },
  { region: "ET", options: [{ total: 50 }, { total: 100 }, { total: 200 }, { total: 500 }, { total: 1000 }] },
];

/** The least gain in mean Dice for which a rule is chosen; a smaller one may be chance. */
const GAIN = 1e-3;

/**
 * Post-processes a class map [D,H,W]: a new map if it changes, else the same one. `spacing` is [D,H,W] in mm.
 */
export function postprocess(
  classes: Uint8Array,
  { size, spacing }: { size: Vec3; spacing: Vec3 },
  rule: Postprocessing,
): Uint8Array {
  const voxel = spacing[0] * spacing[1] * spacing[2];
  return REGION_NAMES.reduce((map, region) => {
    const cleaning = rule[region];
    if (changesNothing(cleaning)) return map;
    return cleaned(map, piecesOf(map, size, region), { region, cleaning, voxel });
  }, classes);
}

/** Tells whether a rule removes nothing. */
export function isNothing(rule: Postprocessing): boolean {
  return REGION_NAMES.every((region) => changesNothing(rule[region]));
}

/** Tells whether a rule depends on volumes in mm³. */
export function usesMillimetres(rule: Postprocessing): boolean {
  return REGION_NAMES.some((region) => rule[region].piece > 0 || rule[region].total > 0);
}

/**
 * A rule in words: `WT: the largest piece only; ET: pieces of 50 mm³ and more, none below 200 mm³ in all`.
 */
export function postprocessingText(rule: Postprocessing): string {
  const parts = REGION_NAMES.flatMap((region) => {
    const { largest, piece, total } = rule[region];
    const kept = [
      ...(largest ? ["the largest piece only"] : []),
      ...(piece ? [`pieces of ${piece} mm³ and more`] : []),
      ...(total ? [`none below ${total} mm³ in all`] : []),
    ];
    return kept.length ? [`${region}: ${kept.join(", ")}`] : [];
  });
  return parts.join("; ") || "none";
}

/** The mean over cases of each region's Dice, and their mean. */
export type MeanDice = Record<Region | "mean", number>;

/** A predicted class map and its reference, both [D,H,W]. */
export interface Validated {
  prediction: Uint8Array;
  reference: Uint8Array;
  size: Vec3;
  /** [D,H,W] in mm. */
  spacing: Vec3;
}

/** The chosen rule, and the results of all options that were tried. */
export interface Choice {
  rule: Postprocessing;
  /** The number of validation cases. */
  cases: number;
  without: MeanDice;
  with: MeanDice;
  tries: { region: Region; cleaning: Cleaning; dice: MeanDice; kept: boolean }[];
}

/**
 * Chooses a rule on at least one validation case: for each region the option of a small grid with the best
 * mean Dice (1 for a region that both maps lack), if it gains at least GAIN.
 */
export function choosePostprocessing(validated: readonly Validated[]): Choice {
  const cases = validated.map(({ spacing, ...pair }) => ({
    ...(tighten(pair) ?? pair),
    voxel: spacing[0] * spacing[1] * spacing[2],
  }));
  let maps = cases.map(({ prediction }) => prediction);
  const score = (found: readonly Uint8Array[]) => meanDice(found, cases);
  const without = score(maps);
  let [rule, best] = [NO_POSTPROCESSING, without];
  const tries: Choice["tries"] = [];
  for (const { region, options } of TRIED) {
    const pieces = cases.map(({ size }, i) => piecesOf(maps[i]!, size, region));
    const outcomes = options.map((option) => {
      const found = cases.map(({ voxel }, i) =>
        cleaned(maps[i]!, pieces[i]!, { region, cleaning: { ...NOTHING, ...option }, voxel }),
      );
      return { option, found, dice: score(found) };
    });
    const chosen = outcomes.reduce((a, b) => (b.dice.mean > a.dice.mean ? b : a)); // the first of equals
    const better = chosen.dice.mean >= best.mean + GAIN;
    for (const outcome of outcomes) {
      const cleaning = { ...rule[region], ...outcome.option };
      tries.push({ region, cleaning, dice: outcome.dice, kept: better && outcome === chosen });
    }
    if (!better) continue;
    maps = chosen.found;
    best = chosen.dice;
    rule = { ...rule, [region]: { ...rule[region], ...chosen.option } };
  }
  return { rule, cases: cases.length, without, with: best, tries };
}

function changesNothing({ largest, piece, total }: Cleaning): boolean {
  return !largest && piece === 0 && total === 0;
}

/** A region's pieces, and the number of voxels of each; the first of `voxels` counts those outside. */
interface Pieces extends Components {
  voxels: number[];
}

function piecesOf(classes: Uint8Array, size: Vec3, region: Region): Pieces {
  const belongs = new Set(REGIONS[region]);
  const found = components(
    classes.map((c) => (belongs.has(c) ? 1 : 0)),
    size,
  );
  const voxels = Array<number>(found.count + 1).fill(0);
  for (const piece of found.labels) voxels[piece]!++;
  return { ...found, voxels };
}

/**
 * The map without the pieces that `cleaning` removes, or the same array if it changes nothing. `voxel` is in
 * mm³.
 */
function cleaned(
  classes: Uint8Array,
  { labels, voxels }: Pieces,
  { region, cleaning, voxel }: { region: Region; cleaning: Cleaning; voxel: number },
): Uint8Array {
  const sizes = voxels.slice(1);
  const largest = sizes.reduce((best, size, i) => (size > sizes[best]! ? i : best), 0);
  const stays = sizes.map(
    (size, i) => (!cleaning.largest || i === largest) && size * voxel >= cleaning.piece,
  );
  const total = sizes.reduce((sum, size, i) => sum + (stays[i] ? size : 0), 0);
  if (total * voxel < cleaning.total) stays.fill(false);
  if (!stays.includes(false)) return classes;
  return classes.map((c, i) => (labels[i]! > 0 && !stays[labels[i]! - 1] ? INSTEAD[region] : c));
}

function meanDice(maps: readonly Uint8Array[], cases: readonly { reference: Uint8Array }[]): MeanDice {
  const sums: MeanDice = { WT: 0, TC: 0, ET: 0, mean: 0 };
  for (const [i, { reference }] of cases.entries()) {
    const dice = diceByRegion(maps[i]!, reference);
    for (const region of REGION_NAMES) {
      sums[region] += dice[region] / cases.length;
      sums.mean += dice[region] / cases.length / REGION_NAMES.length;
    }
  }
  return sums;
}
