// The students of a run that teach another one, for methods of several teachers.

import type { Modality } from "../../data/datasets/datasets.ts";
import {
  frozenStages,
  methodOf,
  PLAIN,
  TEACHER,
  unusedSettings,
  usesStudents,
} from "../../model/methods/index.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { DEFAULTS, networkModalities, runOf } from "./config.ts";
import { subsetOf } from "./contrasts.ts";
import type { TrainConfig } from "./settings.ts";

const STUDENT = "student_"; // the beginning of a student's stage

/** Returns the teachers that a list names: "t1,FLAIR+t1ce" is "t1,t1ce+flair". Throws a UsageError. */
function teacherList(given: string): string {
  const names = given
    .toLowerCase()
    .split(",")
    .map((one) => (one.trim() === TEACHER ? TEACHER : subsetOf("--teachers", one)));
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new UsageError(`--teachers ${given}: names ${twice} twice`);
  return names.join();
}

/** The teachers that a flag or file names, for a method that has several. Throws a UsageError. */
export function teachersFor(method: string, given: string | null | undefined): string | null {
  return given && "teachers" in methodOf(method).settings ? teacherList(given) : null;
}

/** Says that a method uses no teacher of all contrasts, and how it would where it has several. */
export function usesNone(method: string): string {
  const remedy = usesStudents(method) ? " unless --teachers names it: like t1,t2,teacher" : "";
  return `the method ${method} uses no teacher${remedy}`;
}

/** Returns settings that name their teachers: where they name none, each of these contrasts is one. */
export function withTeacherNames(config: TrainConfig, contrasts: readonly Modality[]): TrainConfig {
  const unnamed = config.teachers === null && usesStudents(config.method, { ...config });
  return unnamed ? { ...config, teachers: contrasts.join() } : config;
}

/** The settings of the students that teach in a stage, trained in the same run with labels alone. */
export function teachingStudents(config: TrainConfig): TrainConfig[] {
  const run = runOf(config, networkModalities(config));
  const stages = frozenStages(methodOf(config.method), run).filter((stage) => stage.startsWith(STUDENT));
  return stages.map((stage) => plainStudent(config, stage.slice(STUDENT.length)));
}

/** A student of these contrasts that learns from labels alone, with the settings of another one. */
function plainStudent(config: TrainConfig, modality: string): TrainConfig {
  const names = unusedSettings(PLAIN) as (keyof TrainConfig)[];
  const unused = Object.fromEntries(names.map((name) => [name, DEFAULTS[name as keyof typeof DEFAULTS]]));
  const own = { stage: "student", method: PLAIN, modality, teacher: null, teacherModality: null } as const;
  return {
    ...config,
    ...unused,
    ...own,
    dropWeights: null,
    selfTaught: false,
    control: "none",
    init: null,
    initEncoder: null,
  };
}
