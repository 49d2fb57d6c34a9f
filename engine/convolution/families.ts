// The kernels that convolutions choose from. A family has one geometry, one or more of the three sums of
// convolution.ts, and a choice of a kernel for them (tuning.ts): one for all, or one for each class of calls
// (classes.ts). One more kernel is one more row of a table.

import { choiceFor, className, type Sum, SHAPES, type Tuned } from "./classes.ts";
import { type Geometry, HALVING, isSameGeometry, SAME } from "./geometry.ts";
import { HALVING_GATHER, HALVING_PAIR, HALVING_SCATTER } from "./halving.ts";
import { plainGather, plainPair, plainScatter } from "./plain.ts";
import type { Abilities, Choice, Row, Sizes, VolumeCall, VolumeRow, WeightCall, WeightRow } from "./row.ts";
import { FORWARD, WEIGHT_GRADIENT } from "./same.ts";

/**
 * Rows by sum, the default first. Where a row does not fit a call, the next that does takes its place: one of
 * the last must run on every GPU and fit every call.
 */
export interface Tables {
  gather: readonly VolumeRow[];
  scatter: readonly VolumeRow[];
  pair: readonly WeightRow[];
}

export type Family = "forward" | "weightGradient" | "halving";

export const FAMILIES: Readonly<Record<Family, { geometry: Geometry; tables: Partial<Tables> }>> = {
  forward: { geometry: SAME, tables: { gather: FORWARD, scatter: FORWARD } },
  weightGradient: { geometry: SAME, tables: { pair: WEIGHT_GRADIENT } },
  halving: {
    geometry: HALVING,
    tables: { gather: HALVING_GATHER, scatter: HALVING_SCATTER, pair: HALVING_PAIR },
  },
};

export const FAMILY_NAMES = Object.keys(FAMILIES) as Family[];

/** The tables of a geometry without a family. */
const OTHERS: Tables = { gather: [plainGather], scatter: [plainScatter], pair: [plainPair] };

/** The names of a family's kernels. */
export function namesOf(family: Family): string[] {
  return [...new Set(rowsOf(family).map(({ name }) => name))];
}

/** The kernels of a family that can run on a GPU, each in all of its sizes; the default comes first. */
export function candidatesOf(family: Family, gpu: Abilities): Choice[] {
  const all = rowsOf(family).flatMap(({ name, sizes }) =>
    sizes(gpu).map((own) => ({ kernel: name, ...own })),
  );
  return [...new Map(all.map((choice) => [JSON.stringify(choice), choice])).values()];
}

/** The sums of a family. */
export function sumsOf(family: Family): Sum[] {
  return Object.keys(FAMILIES[family].tables) as Sum[];
}

/** The names of all classes of a family's calls. */
export function classesOf(family: Family): string[] {
  return sumsOf(family).flatMap((sum) => SHAPES.map((shape) => className(sum, shape)));
}

function rowsOf(family: Family): Pick<Row<never>, "name" | "sizes">[] {
  const { gather = [], scatter = [], pair = [] } = FAMILIES[family].tables;
  return [...gather, ...scatter, ...pair];
}

/** A row that is to do a call, in these sizes. */
interface Picked<R> {
  row: R;
  sizes: Sizes;
}

/** The choice of each family, and the GPU to run on. */
interface Chosen {
  tuning: Readonly<Record<Family, Tuned>>;
  gpu: Abilities;
}

/** Picks the kernel for a volume. */
export function pickVolumeRow(
  sum: "gather" | "scatter",
  call: VolumeCall,
  chosen: Chosen,
): Picked<VolumeRow> {
  const family = familyOf(sum, call.geometry);
  if (!family) return pick(OTHERS[sum], null, call, chosen.gpu);
  const choice = choiceFor(chosen.tuning[family], sum, call);
  return pick(FAMILIES[family].tables[sum]!, choice, call, chosen.gpu);
}

/** Picks the kernel for the gradient of a weight. */
export function pickWeightRow(call: WeightCall, chosen: Chosen): Picked<WeightRow> {
  const family = familyOf("pair", call.geometry);
  if (!family) return pick(OTHERS.pair, null, call, chosen.gpu);
  const choice = choiceFor(chosen.tuning[family], "pair", call);
  return pick(FAMILIES[family].tables.pair!, choice, call, chosen.gpu);
}

function familyOf(sum: Sum, geometry: Geometry): Family | undefined {
  return FAMILY_NAMES.find((family) => {
    return FAMILIES[family].tables[sum] && isSameGeometry(FAMILIES[family].geometry, geometry);
  });
}

/** The chosen row if it fits the call; else the first after it that does, in its default sizes. */
function pick<C, R extends Pick<Row<C>, "name" | "sizes" | "fits">>(
  table: readonly R[],
  choice: Choice | null,
  call: C,
  gpu: Abilities,
): Picked<R> {
  const at = table.findIndex(({ name }) => name === choice?.kernel);
  if (choice && table[at]?.fits(call)) {
    const { kernel: _, ...sizes } = choice;
    return { row: table[at], sizes: sizes as Sizes };
  }
  for (const row of table.slice(at + 1)) {
    const [sizes] = row.sizes(gpu);
    if (sizes && row.fits(call)) return { row, sizes };
  }
  throw new Error("one of the last rows of a table must run on every GPU and fit every call");
}
