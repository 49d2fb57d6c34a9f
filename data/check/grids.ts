// The grid of a training's cases, and how others differ from it. A network has learnt axes and voxel sizes,
// not anatomy in millimetres.

import type { CaseReport } from "./checkCase.ts";
import { formatSpacing } from "./checkVolume.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import type { CommonGrid } from "../preparation/input.ts";
import { turnBetween, turnedSize } from "../preparation/turn.ts";
import { put } from "../groups.ts";

/** How much larger or smaller voxels may be than those of the training data without a warning. */
const SIMILAR = 1.2;

type Gridded = Pick<CaseReport, "id" | "grid">;

/**
 * Returns the orientation of most cases, or `given`, and their median spacing in it; null if no case has a
 * grid.
 */
export function commonGrid(cases: readonly Gridded[], given?: string): CommonGrid | null {
  const grids = cases.flatMap(({ grid }) => (grid ? [grid] : []));
  if (!grids.length) return null;
  const orientation = given ?? groups(cases, (grid) => grid.orientation)[0]![0];
  const spacings = grids.map((grid) => spacingIn(orientation, grid));
  const median = (axis: number) => {
    const sorted = spacings.map((spacing) => spacing[axis]!).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)]!;
  };
  return { orientation, spacing: [median(0), median(1), median(2)] };
}

/** Warns if cases differ in orientation or voxel size; `remedy` says what to do about orientations. */
export function differingGrids(
  cases: readonly Gridded[],
  remedy = "a network sees axes, not anatomy: training and prediction turn all cases to one",
): string[] {
  const orientations = groups(cases, ({ orientation }) => orientation);
  const spacings = groups(cases, ({ spacing }) => formatSpacing(spacing));
  const warnings: string[] = [];
  if (orientations.length > 1)
    warnings.push(`cases differ in orientation: ${listed(orientations)}: ${remedy}`);
  if (spacings.length > 1) {
    const resample = "this program does not resample: resample all cases to one";
    warnings.push(`cases differ in voxel size, mm: ${listed(spacings)}: ${resample}`);
  }
  return warnings;
}

type Group = [name: string, ids: string[]];

/** The cases by a property of their grids, the most frequent first. */
function groups(cases: readonly Gridded[], of: (grid: NonNullable<Gridded["grid"]>) => string): Group[] {
  const found = new Map<string, string[]>();
  for (const { id, grid } of cases) if (grid) put(found, of(grid), id);
  return [...found].sort(([, a], [, b]) => b.length - a.length);
}

function listed(found: readonly Group[]): string {
  return found
    .slice(0, 6)
    .map(([name, ids]) => `${name} in ${ids.length} (${ids[0]}${ids.length > 1 ? ", ..." : ""})`)
    .join(", ");
}

/** Warns of cases that are not in the grid that a network was trained on, a line for each case and kind. */
export function gridWarnings(cases: readonly Gridded[], trained: CommonGrid): string[] {
  return cases.flatMap(({ id, grid }) => {
    if (!grid) return [];
    const warnings: string[] = [];
    if (grid.orientation !== trained.orientation) {
      const turned = "it is turned for the network, and the prediction is turned back";
      warnings.push(
        `case ${id}: expected the orientation ${trained.orientation}, in which the network was trained, ` +
          `got ${grid.orientation}: ${turned}`,
      );
    }
    const spacing = spacingIn(trained.orientation, grid);
    const ratios = spacing.map((mm, axis) => mm / trained.spacing[axis]!);
    if (ratios.some((ratio) => ratio > SIMILAR || ratio < 1 / SIMILAR)) {
      const remedy = "this program does not resample: resample the case, or expect a worse prediction";
      warnings.push(
        `case ${id}: expected voxels of ${formatSpacing(trained.spacing)} mm, on which the network was ` +
          `trained, got ${formatSpacing(spacing)} mm: ${remedy}`,
      );
    }
    return warnings;
  });
}

function spacingIn(orientation: string, grid: NonNullable<Gridded["grid"]>): Vec3 {
  const turn = turnBetween(grid.orientation, orientation);
  return turn ? turnedSize(grid.spacing, turn) : grid.spacing;
}
