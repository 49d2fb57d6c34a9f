// The cases of a split that a stage uses: those that have what its network sees. Said at the start: how many
// these are, and what the others lack.

import { append } from "../../engine/values.ts";
import { gapsOf, listOf } from "../../data/datasets/gaps.ts";
import { type CaseFiles, type Modality, MODALITIES } from "../../data/datasets/source.ts";
import { takesSome } from "../../data/datasets/subsets.ts";
import type { Split } from "../../data/datasets/splits.ts";
import { DataError } from "../../data/errors.ts";
import { titleOf } from "../../model/methods/index.ts";
import { networkModalities, type TrainConfig } from "../settings/config.ts";

/** The split of a run, and the networks that teach in a stage. */
export interface SplitOptions {
  /** The whole split. */
  split: Split;
  /** The files of a case of the split. */
  filesOf: (id: string) => CaseFiles;
  /** The contrasts of each network that teaches. */
  taughtBy: readonly (readonly Modality[])[];
}

/** The cases that a stage uses. */
export interface StageSplit {
  split: Split;
  /** The contrasts that each of them has; none for a network that takes any, or each alone. */
  required: Modality[];
  /** Lines for the user, if some cases lack contrasts. */
  about: string[];
}

type Stage = Pick<TrainConfig, "stage" | "modality" | "teacherModality" | "method">;

/**
 * Chooses the cases of a stage. Throws a DataError if none is left to train on (of a pretraining, only one),
 * or if none of those has all that a teacher sees.
 */
export function stageSplit(config: Stage, { split, filesOf, taughtBy }: SplitOptions): StageSplit {
  const own = networkModalities(config);
  const any = takesSome(config.modality);
  const usable = (id: string) => {
    const { images } = filesOf(id);
    return any ? own.some((one) => images[one]) : own.every((one) => images[one]);
  };
  const used = {
    train: split.train.filter(usable),
    val: split.val.filter(usable),
    test: split.test.filter(usable),
  };
  const files = (ids: readonly string[]) => [...new Set(ids)].map(filesOf);
  const trained = files(used.train);
  const gaps = gapsOf(files(split.train), own);
  if (!trained.length) {
    throw new DataError(
      `no case to train on has ${any ? "any of " : ""}${listOf(own)}: ${gaps}: ${REMEDY[config.stage]}`,
    );
  }
  const about: string[] = [];
  if (config.stage === "pretrain") {
    checkEnough(trained.length);
    about.push("only cases to train are used: a pretraining has no scores to validate or test");
    return { split: { ...split, train: used.train, val: [], test: [] }, required: own, about };
  }
  const others = files([...split.train, ...split.val, ...split.test]).filter(({ id }) => !usable(id));
  if (others.length) {
    const counts = SETS.map(([set, what]) => `${used[set].length} of ${split[set].length} ${what}`);
    about.push(`${counts.join(", ")} have ${any ? "one of " : ""}${listOf(own)}`);
    about.push(`not used by this stage: ${gapsOf(others, own)}`);
    if (split.val.length && !used.val.length)
      about.push("no case is left to validate on: the last network counts as the best");
    if (split.test.length && !used.test.length)
      about.push("no case is left to test on: no scores are computed");
  }
  const seen = MODALITIES.filter((one) => taughtBy.some((teacher) => teacher.includes(one)));
  if (taughtBy.length) append(about, taughtLines(trained, seen, { ...config, teachers: taughtBy.length }));
  if (any && !taughtBy.length) {
    const whole = trained.filter(({ images }) => own.every((one) => images[one])).length;
    if (whole < trained.length)
      about.push(`${whole} of ${trained.length} cases to train have all contrasts; ${gapsOf(trained, own)}`);
  }
  return { split: used, required: any ? [] : own, about };
}

/** Returns the cases that a stage used, from the split that its folder records. */
export function recordedSplit<Recorded extends Split & { absent?: readonly string[] }>(
  config: Stage,
  split: Recorded,
): Recorded {
  const absent = new Set(split.absent);
  const lacks = (id: string, one: Modality) => absent.has(`${id} ${one}`);
  const own = networkModalities(config);
  const usable = (id: string) =>
    takesSome(config.modality) ? own.some((one) => !lacks(id, one)) : own.every((one) => !lacks(id, one));
  const { train, val, test } = config.stage === "pretrain" ? { ...split, val: [], test: [] } : split;
  return { ...split, train: train.filter(usable), val: val.filter(usable), test: test.filter(usable) };
}

function checkEnough(cases: number): void {
  if (cases > 1) return;
  throw new DataError(
    `expected at least 2 cases to pretrain on, got ${cases}: a pretraining learns what tells patches of different ` +
      "cases apart: list more of them under train in a --split file, or use all with --fold all",
  );
}

const SETS = [
  ["train", "cases to train"],
  ["val", "to validate"],
  ["test", "to test"],
] as const;

const REMEDY = {
  teacher: "choose what it sees with --teacher-modality",
  student: "choose another --modality",
  pretrain: "choose another --modality",
} as const;

/** Returns a line on the cases that lack what the teachers see. Throws a DataError if all of them do. */
function taughtLines(
  trained: readonly CaseFiles[],
  seen: readonly Modality[],
  { method, teachers }: Stage & { teachers: number },
): string[] {
  const taught = trained.filter(({ images }) => seen.every((one) => images[one]));
  if (taught.length === trained.length) return [];
  const gaps = gapsOf(trained, seen);
  const several = teachers > 1;
  if (taught.length) {
    return [
      `the ${several ? "teachers'" : "teacher's"} terms count for ${taught.length} of ${trained.length} cases to train: ${gaps}`,
    ];
  }
  throw new DataError(
    `${titleOf(method)}: no case to train on has all that the ${several ? "teachers see" : "teacher sees"} (${listOf(seen)}): ` +
      `${gaps}: choose ${several ? "teachers" : "a teacher"} of fewer contrasts, or train with --method none`,
  );
}
