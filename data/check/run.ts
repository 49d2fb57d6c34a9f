// The cases of a training run against each other: the same findings as the check of a data set, and the one
// orientation that all of them are turned to.

import { compareCases } from "./check.ts";
import type { CaseReport } from "./checkCase.ts";
import { commonGrid, gridWarnings } from "./grids.ts";
import type { LabelConvention } from "../datasets/labels.ts";
import { DataError } from "../errors.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import type { CommonGrid } from "../preparation/input.ts";
import { type Case, turnedCase } from "../preparation/preprocess.ts";
import { turnBetween } from "../preparation/turn.ts";

/** The findings about a run's cases that training can live with, and their common grid. */
export interface RunReport {
  grid: CommonGrid;
  warnings: string[];
}

/**
 * Compares the cases of a run; the first `trained` of them are trained on. `known` is the grid of a network
 * that the run starts from or learns from, whose orientation is kept. Throws a DataError for a scan that is
 * in two cases.
 */
export function compareRun(
  reports: readonly CaseReport[],
  options: { trained: number; convention: LabelConvention; patch: Vec3; known?: CommonGrid | undefined },
): RunReport {
  const { trained, convention, patch, known } = options;
  const found = { cases: [...reports], convention, problems: [] as string[], warnings: [] as string[] };
  compareCases(found, { labels: true, patch });
  if (found.problems.length) throw new DataError(found.problems);
  const grid = commonGrid(reports.slice(0, trained), known?.orientation)!;
  const own = reports.flatMap((report) => report.warnings);
  const others = known ? gridWarnings(reports, known) : [];
  return { grid, warnings: [...own, ...found.warnings, ...others] };
}

/** Returns a case, prepared in its own orientation, in that of the run. */
export function inGrid(
  prepared: Case,
  { grid }: Pick<CaseReport, "grid">,
  { orientation }: CommonGrid,
): Case {
  const turn = grid && turnBetween(grid.orientation, orientation);
  return turn ? turnedCase(prepared, turn) : prepared;
}
