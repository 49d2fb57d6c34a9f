// The plan of a prediction: the model of each case, by the modalities that it has, and all problems of the
// cases, which are read before the first is predicted.

import { append } from "../../engine/values.ts";
import {
  type CaseFiles,
  type Dataset,
  MODALITIES,
  type Modality,
  type Source,
} from "../../data/datasets/datasets.ts";
import { parseSubset, subsetProblem } from "../../data/datasets/subsets.ts";
import { collectProblems } from "../../data/errors.ts";
import { findDuplicates } from "../../data/check/check.ts";
import type { CaseReport } from "../../data/check/checkCase.ts";
import { differingGrids, gridWarnings } from "../../data/check/grids.ts";
import { loadCase, type LoadOptions } from "../../data/check/loadCase.ts";
import type { AffineChoice } from "../../data/preparation/grids.ts";
import { usesMillimetres } from "../../model/inference/postprocess.ts";
import type { CommonGrid } from "../../data/preparation/input.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import { type Candidate, choose, type Chosen, needsText, takesAny, useWith } from "./candidates.ts";
import { UsageError } from "../../model/settings/errors.ts";
import type { InputChecksums } from "./inputChecksums.ts";
import type { ModelUse } from "../files/models.ts";
import type { Gains } from "./gains.ts";
import { put } from "../../data/groups.ts";

const KEPT = 2 ** 30; // bytes of cases that stay loaded between their check and their prediction

/** A case and its model. */
export interface PlannedCase extends Chosen {
  id: string;
  /** The modalities that the case has and --with allows. */
  available: Modality[];
  /** The sentence that tells what another modality would bring; null if the table of fifteen does not say. */
  more: string | null;
}

/** A case that cannot be predicted, and its problems. */
export interface BadCase {
  id: string;
  problems: string[];
}

/** Loads a case by id, prepared for a model. */
export type Load = (
  id: string,
  use: ModelUse,
  options?: Partial<Pick<LoadOptions, "checked" | "millimetres" | "labels">>,
) => Promise<Case>;

/** The modalities to use by --with, or by --available, its older name; all without either. */
export function allowedModalities(options: { with?: string; available?: string }): Modality[] {
  const { with: text = options.available, available } = options;
  if (options.with !== undefined && available !== undefined)
    throw new UsageError("--available: is the older name of --with: give only --with");
  if (text === undefined) return [...MODALITIES];
  const subset = text.replaceAll(",", "+");
  const problem = subsetProblem(subset);
  if (problem === null) return parseSubset(subset);
  throw new UsageError(`${available === undefined ? "--with" : "--available"}: ${problem}`);
}

/** Chooses each case's model among `candidates`; `allowed` are the modalities to use. Reads no file. */
export function planCases(
  { cases }: Dataset,
  candidates: readonly Candidate[],
  { allowed, gains }: { allowed: readonly Modality[]; gains: Gains },
): { plan: PlannedCase[]; bad: BadCase[] } {
  const plan: PlannedCase[] = [];
  const bad: BadCase[] = [];
  for (const files of cases) {
    const { id, images } = files;
    const available = MODALITIES.filter((m) => images[m] && allowed.includes(m));
    const chosen = choose(candidates, available);
    const absent = MODALITIES.filter((m) => !images[m]);
    if (chosen) plan.push({ id, available, ...chosen, more: gains(available, absent) });
    else bad.push({ id, problems: [`case ${id}: ${lacking(files, candidates, allowed)}`] });
  }
  return { plan, bad };
}

/** The reason why no model fits a case. */
function lacking(
  { images }: CaseFiles,
  candidates: readonly Candidate[],
  allowed: readonly Modality[],
): string {
  const there = MODALITIES.filter((m) => images[m]);
  const left = there.filter((m) => allowed.includes(m));
  const ruledOut = there.filter((m) => !allowed.includes(m)).join(", ");
  const some = left.length ? `only ${left.join(", ")}` : "nothing";
  const got = `got ${some}${ruledOut && ` (--with rules out ${ruledOut})`}`;
  const allow = ruledOut && ": allow more with --with";
  const [only, ...more] = candidates;
  if (only && !more.length) {
    const missing = only.modalities.filter((m) => !left.includes(m)).join(", ");
    const several = only.modalities.length > 1;
    const remedy = several ? "; --model with the folder of a run would take a student of these" : "";
    return `expected ${takesAny(only) ? needsText(only) : missing} for ${only.name}, ${got}${allow || remedy}`;
  }
  const needs = candidates.map((one) => `${one.name} (${needsText(one)})`).join(", ");
  const remedy = allow ? `${allow}, or train` : ": train";
  return `expected the modalities of one of ${needs}, ${got}${remedy} a student of these`;
}

/**
 * Reads and checks the planned cases; returns those that can be predicted, the others with their problems,
 * and all warnings.
 */
export async function checkCases(
  plan: readonly PlannedCase[],
  load: Load,
): Promise<{ good: PlannedCase[]; bad: BadCase[]; warnings: string[] }> {
  const good: PlannedCase[] = [];
  const bad: BadCase[] = [];
  const reports: CaseReport[] = [];
  const unplaced: CaseReport[] = []; // of networks whose cards have no grid
  const warnings: string[] = [];
  for (const one of plan) {
    const problems: string[] = [];
    const { sees, candidate } = one;
    const { postprocessing } = candidate;
    const uses = candidate.members.map(({ use }) => useWith(use, sees));
    const millimetres = postprocessing !== null && usesMillimetres(postprocessing);
    const grids = new Map<string, CommonGrid>();
    for (const use of distinct(uses)) {
      let report: CaseReport | null = null;
      await collectProblems(problems, () =>
        load(one.id, use, { millimetres, checked: (found) => (report = found) }),
      );
      if (report) reports.push(report);
      if (use.grid) grids.set(JSON.stringify(use.grid), use.grid);
    }
    // Members that see different modalities are averaged voxel by voxel, so that all of these must share a
    // grid. A member that sees all modalities has checked that already.
    const checked = uses.some(({ modalities }) => modalities.length === sees.length);
    if (!checked && !problems.length)
      await collectProblems(problems, () => load(one.id, { ...uses[0]!, modalities: sees }));
    if (problems.length) {
      bad.push({ id: one.id, problems });
      continue;
    }
    good.push(one);
    const own = reports.filter(({ id }) => id === one.id);
    append(
      warnings,
      own.flatMap((report) => report.warnings),
    );
    for (const grid of grids.values()) append(warnings, gridWarnings(own.slice(0, 1), grid));
    if (!grids.size) append(unplaced, own.slice(0, 1));
  }
  findDuplicates({ cases: reports, problems: [], warnings }, "warnings");
  append(warnings, differingGrids(unplaced, UNPLACED));
  return { good, bad, warnings: [...new Set(warnings)] };
}

const UNPLACED = "the network's file does not say which one it was trained in: bring all cases to that one";

/** One use for each way of preparing a case. */
function distinct(uses: readonly ModelUse[]): ModelUse[] {
  return [...new Map(uses.map((use) => [preparationOf(use), use])).values()];
}

/** The part of a model's use that decides how its input is prepared, as a key. */
export function preparationOf({ modalities, background, crop, padding, grid }: ModelUse): string {
  return [modalities, background, crop, padding, grid?.orientation ?? ""].join(" ");
}

/** Returns a loader of cases. It keeps the first ones in memory, so that a small set is read only once. */
export function caseLoader(
  source: Source,
  dataset: Dataset,
  { checksums, affine }: { checksums: InputChecksums; affine: AffineChoice },
): Load {
  const files = new Map(dataset.cases.map((found) => [found.id, found]));
  const kept = new Map<string, Case>();
  let bytes = 0;
  return async (id, use, checks = {}) => {
    const key = `${id} ${preparationOf(use)}`;
    const known = kept.get(key);
    kept.delete(key); // a case is loaded twice: for its check, then for its prediction
    if (known) return known;
    const { background, crop, padding, modalities, grid } = use;
    const preparation = { background, crop, padding, orientation: grid?.orientation };
    const seen = (path: string, bytes: Uint8Array) => checksums.note(path, bytes);
    const options: LoadOptions = { affine, ...preparation, seen, ...checks, labels: checks.labels ?? false };
    const loaded = await loadCase(source, dataset, files.get(id)!, modalities, options);
    bytes += loaded.images.byteLength;
    if (bytes <= KEPT) kept.set(key, loaded);
    return loaded;
  };
}

/**
 * The plan in words: a line for each model and reason, with the modalities that it does not use, and another
 * on what one more would bring. Long lists of cases are cut.
 */
export function planText(plan: readonly PlannedCase[]): string[] {
  const groups = new Map<string, string[]>();
  for (const { id, candidate, sees, why, available, more } of plan) {
    const unused = available.filter((m) => !sees.includes(m)).join(", ");
    const key =
      `${candidate.name} (${sees.join(", ")}), with ${available.join(", ")}: ${why}` +
      `${unused && `; not used: ${unused}`}${more === null ? "" : `\n  ${more}`}`;
    put(groups, key, id);
  }
  return [...groups].flatMap(([key, ids]) =>
    `${ids.length === 1 ? ids[0]! : listed(ids)}: ${key}`.split("\n"),
  );
}

function listed(ids: readonly string[]): string {
  const more = ids.length > 20 ? ` and ${ids.length - 20} more, see predictions.json` : "";
  return `${ids.length} cases (${ids.slice(0, 20).join(", ")}${more})`;
}
