// The contrasts of a network that train.js is about to train, where the files of its cases decide them, or
// the run that its folder holds: a teacher's, and those of a student that takes any.

import { join } from "node:path";
import { type Modality, MODALITIES } from "../../data/datasets/datasets.ts";
import { contrastsOf } from "../../data/datasets/gaps.ts";
import { ANY, EACH, subsetName } from "../../data/datasets/subsets.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { anyContrasts } from "../../trainer/settings/anyContrasts.ts";
import { networkModalities, stageName, type TrainConfig } from "../../trainer/settings/config.ts";
import { teacherContrasts } from "../../trainer/settings/teacherContrasts.ts";
import { withTeacherNames } from "../../trainer/settings/teachers.ts";
import { stageSplit } from "../../trainer/stages/stageSplit.ts";
import { casesOf, filesById, openRunData } from "../files/cases.ts";
import { exists } from "../files/files.ts";
import { readConfig } from "../files/stageFolder.ts";
import { warn } from "../terminal/console.ts";

/**
 * Returns a teacher's settings with the contrasts that it sees. A run that its folder holds keeps its own,
 * unless it is to be replaced. Reads no volume. Throws a DataError if no case to train on has what it or one
 * of its `students` sees, or if it would see fewer than two; a UsageError where the folder's teacher does not
 * see what a student sees.
 */
export async function withContrasts(
  config: TrainConfig,
  { students = [], replace = false }: { students?: readonly (readonly Modality[])[]; replace?: boolean } = {},
): Promise<TrainConfig> {
  const folder = join(config.out, stageName(config));
  const recorded = replace ? null : await readConfig(folder);
  const own = recorded && networkModalities(recorded);
  const given = config.teacherModality ?? (own && subsetName(own));
  const untaught = students.find((seen) => !seen.every((one) => !own || own.includes(one)));
  if (own && config.teacherModality === null && untaught) {
    throw new UsageError(
      `${folder}: holds a teacher of ${own.join(", ")}, and a student sees ${untaught.join(", ")}: choose another --out`,
    );
  }
  if (!(await exists(config.data)))
    return recorded ? { ...config, teacherModality: recorded.teacherModality } : config;
  const { dataset, split } = await openRunData(config, replace ? null : folder, () => undefined);
  const { teacherModality, notes } = teacherContrasts(casesOf(dataset, split.train), { given, students });
  notes.forEach(warn);
  return { ...config, teacherModality };
}

/**
 * Returns a student's settings in which "any" or "each" names the contrasts that at least one case to train
 * on has, and tells the user where it is not all four. Other settings stay as they are. Reads no volume.
 * Throws a DataError where fewer than two are there.
 */
export async function withAnyContrasts(config: TrainConfig): Promise<TrainConfig> {
  const { modality: which } = config;
  if ((which !== ANY && which !== EACH) || !(await exists(config.data))) return config;
  const { dataset, split } = await openRunData(config, null, () => undefined);
  const { modality, note } = anyContrasts(casesOf(dataset, split.train), which);
  if (note) warn(`--modality ${which}: ${note}`);
  return { ...config, modality };
}

/**
 * Returns a student's settings with the names of its teachers: where none are given, those are students of
 * each contrast that at least one case to train on has. Other settings stay as they are. Reads no volume.
 */
export async function withTeachers(config: TrainConfig): Promise<TrainConfig> {
  if (withTeacherNames(config, MODALITIES) === config) return config;
  if (!(await exists(config.data))) {
    const recorded = await readConfig(join(config.out, stageName(config)));
    return withTeacherNames({ ...config, teachers: recorded?.teachers ?? null }, MODALITIES);
  }
  const { dataset, split } = await openRunData(config, null, () => undefined);
  return withTeacherNames(config, contrastsOf(casesOf(dataset, split.train)));
}

/** Throws a DataError if no case to train on has what a student sees. Reads no volume. */
export async function checkStageCases(config: TrainConfig): Promise<void> {
  if (!(await exists(config.data))) return;
  const { dataset, split } = await openRunData(config, null, () => undefined);
  stageSplit(config, { split, filesOf: filesById(dataset), taughtBy: [] });
}
