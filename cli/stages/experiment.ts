// node cli/train.js --stage all: trains a teacher and students of several modalities, each in its own folder,
// for one seed or several; then writes one report. Finished stages are not trained again.

import { join } from "node:path";
import * as v from "valibot";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { ALL_SUBSETS, contrastsIn, eachOf, isAny, isEach, parseSubset } from "../../data/datasets/subsets.ts";
import type { Device } from "../../engine/index.ts";
import { append } from "../../engine/values.ts";
import {
  baselinesOf,
  classifies,
  DEFAULT_METHOD,
  methodOf,
  METHODS,
  PLAIN,
  unusedSettings,
  usesStudents,
  usesTeacher,
} from "../../model/methods/index.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { stageName, stageTitle, teacherOf } from "../../trainer/settings/config.ts";
import { emit, result, say } from "../terminal/console.ts";
import { EXPERIMENT, writeExperiment } from "../report/experimentReport.ts";
import { SETTINGS, type TrainConfig } from "../../trainer/settings/settings.ts";
import { openRunData } from "../files/cases.ts";
import { finished, isFinished } from "../files/sameRun.ts";
import { FILES } from "../files/stageFolder.ts";
import { checkResults } from "../report/stageResults.ts";
import { scoreSubsets } from "../report/scoreSubsets.ts";
import { checkAny } from "../../trainer/settings/anyContrasts.ts";
import { studentOf } from "../../trainer/settings/contrasts.ts";
import { yieldedStages } from "../../trainer/settings/eachContrast.ts";
import { checkTeacherSees } from "../../trainer/settings/teacherContrasts.ts";
import { teachingStudents } from "../../trainer/settings/teachers.ts";
import { readTeacher } from "./stageModels.ts";
import { checkStageCases, withAnyContrasts, withContrasts, withTeachers } from "./teacherSees.ts";
import { type Existing, train } from "./training.ts";
import { type CommandFlags, flagOf, resolveConfig } from "./trainFlags.ts";

/** Students of each of `modalities` by each of `methods`, and their teacher, for each of `seeds`. */
export interface Experiment {
  /** The settings of the chosen method's students, but for their modality and seed. */
  shared: TrainConfig;
  /** The settings of their teacher, but for its seed: no method's own defaults change it. */
  teacher: TrainConfig;
  /** The contrasts of each student, as subsetName() joins them. */
  modalities: readonly string[];
  /** The settings of each method's students, in the order of training; the chosen method's come last. */
  methods: readonly TrainConfig[];
  seeds: readonly number[];
}

/** The experiment that flags ask for. Throws UsageError. */
export async function resolveExperiment(flags: CommandFlags): Promise<Experiment> {
  const { seeds: list, baselines = false, methods: named, modality = "all", stage: _, ...rest } = flags;
  if (flags.resumeFrom !== undefined)
    throw new UsageError("--resume-from: goes with --stage teacher or student, not with all");
  if (list !== undefined && flags.seed !== undefined)
    throw new UsageError("--seed, --seeds: use one of them, not both");
  const modalities = modalitiesOf(modality);
  const contrasts = [...new Set(modalities.flatMap(contrastsIn))];
  const student = (method = DEFAULT_METHOD as string) => {
    const last = modalities.at(-1)!; // one that takes any is last
    const seen = methodOf(method).eachContrast ? eachOf(contrasts) : last;
    return { stage: "student", modality: seen } as const;
  };
  const names = named === undefined ? [] : methodsOf(named, { baselines, ...rest });
  const chosen = names.pop();
  const settings = chosen === undefined ? rest : { ...flagsOf(chosen, rest), method: chosen };
  const shared = await resolveConfig({ ...settings, ...student(settings.method) });
  if (baselines) append(names, baselinesOf(shared.method));
  for (const one of modalities) {
    checkTeacherSees({ ...shared, modality: one });
    if (shared.selfTaught) checkAny({ ...shared, modality: one });
  }
  const resolve = (method: string) => resolveConfig({ ...flagsOf(method, rest), ...student(method), method });
  const methods = [...(await Promise.all(names.map(resolve))), shared];
  const teacherModality = methods.find((one) => one.teacherModality)?.teacherModality ?? null;
  return {
    shared,
    teacher: teacherOf({ ...(await resolve(PLAIN)), teacherModality }),
    modalities,
    methods,
    seeds: list === undefined ? [shared.seed] : seedsOf(list),
  };
}

/**
 * The methods in a list such as "none,kd,protokd", in its order. Throws a UsageError for an unknown name, one
 * that is named twice, flags that give methods too, or a flag that none of the methods uses.
 */
function methodsOf(
  text: string,
  { method, baselines, ...flags }: Pick<CommandFlags, "method" | "baselines"> & CommandFlags,
): string[] {
  const other = method !== undefined ? "--method" : baselines ? "--baselines" : null;
  if (other) throw new UsageError(`--methods, ${other}: use one of them, not both`);
  const names = text.split(",").map((name) => name.trim());
  const known = Object.keys(METHODS);
  const wrong = names.find((name) => !known.includes(name));
  if (wrong !== undefined)
    throw new UsageError(`--methods: expected some of ${known.join(", ")}, got ${wrong || "nothing"}`);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new UsageError(`--methods ${text}: names ${twice} twice`);
  const idle = Object.keys(flags).find((flag) => names.every((name) => !(flag in flagsOf(name, flags))));
  if (idle !== undefined) throw new UsageError(`--${flagOf(idle)}: none of the methods ${text} uses it`);
  return names;
}

/** The flags without those that a method does not use. */
function flagsOf(method: string, flags: Omit<CommandFlags, "stage" | "modality">) {
  const unused = new Set(unusedSettings(method));
  const isTaught = usesTeacher(method, { ...flags });
  if (!isTaught) unused.add("teacher").add("teacherModality");
  if (!isTaught && !usesStudents(method, { ...flags })) unused.add("control");
  return Object.fromEntries(Object.entries(flags).filter(([name]) => !unused.has(name)));
}

/**
 * Every stage in the order of training: of each seed the teacher, unless one is given or none is needed, the
 * students that teach others, then the other students. One seed's stages are in `shared.out`, those of
 * several in its folders seed_N.
 */
export function stagesOf({
  shared,
  teacher: taughtBy,
  modalities,
  methods,
  seeds,
}: Experiment): TrainConfig[] {
  const isTaught = ({ selfTaught, ...config }: TrainConfig) =>
    usesTeacher(config.method, config) && !selfTaught;
  const given = givenTeacher(methods);
  return seeds.flatMap((seed) => {
    const out = seeds.length === 1 ? shared.out : join(shared.out, `seed_${seed}`);
    const own = { ...taughtBy, out, seed };
    const teacher = given ?? join(out, stageName(own), FILES.best);
    const students = modalities.flatMap((seen, i) =>
      methods.flatMap((config): TrainConfig[] => {
        if (isEach(config.modality) && i > 0) return []; // one training for all modalities
        const modality = isEach(config.modality) ? config.modality : seen;
        const taught = isTaught(config);
        const own = { out, seed, modality, teacher: taught ? teacher : null };
        const dropWeights = isAny(modality) ? config.dropWeights : null;
        return [{ ...config, ...own, dropWeights, teacherModality: null }];
      }),
    );
    const all = teachingFirst(students, methods);
    return methods.some(isTaught) && given === null ? [own, ...all] : all;
  });
}

/** The teacher's file that flags name, for all methods that use one. */
function givenTeacher(methods: readonly TrainConfig[]): string | null {
  return methods.find(({ teacher }) => teacher !== null)?.teacher ?? null;
}

/** The students of one seed, those that teach others first, also where no flag names them. */
function teachingFirst(students: readonly TrainConfig[], methods: readonly TrainConfig[]): TrainConfig[] {
  const plain = methods.find(({ method }) => method === PLAIN);
  const teaching = new Map(
    students
      .flatMap((config) => teachingStudents(config))
      .map((config) => {
        const name = stageName(config);
        const { out, seed, modality } = config;
        const own = plain ? { ...plain, out, seed, modality, teacherModality: null } : config;
        return [name, students.find((other) => stageName(other) === name) ?? own] as const;
      }),
  );
  return [...teaching.values(), ...students.filter((config) => !teaching.has(stageName(config)))];
}

/**
 * Trains the stages that are not finished yet, and writes the report. Each stage's folder is as if it had
 * been trained alone.
 */
export async function runExperiment(
  open: () => Promise<Device>,
  experiment: Experiment,
  existing: Existing,
): Promise<void> {
  const { out } = experiment.shared;
  const stages = await checkedStages(experiment, existing.finished === "replace");
  for (const [i, stage] of stages.entries()) {
    const seed = experiment.seeds.length > 1 ? `, seed ${stage.seed}` : "";
    const place = `stage ${i + 1} of ${stages.length}: ${stageTitle(stage)}${seed}`;
    if (existing.finished !== "replace" && (await finished(stage))) {
      say(`${place}: finished before`);
      continue;
    }
    say(place);
    await train(open, stage, existing);
  }
  result(await writeExperiment(out, stages.flatMap(yieldedStages)));
  const report = join(out, EXPERIMENT.report);
  result(`report: ${report}`);
  await tableOfFifteen(open, experiment);
  emit("end", { report });
}

/** Makes the table of fifteen, if the students cover more than single contrasts and there are test cases. */
async function tableOfFifteen(
  open: () => Promise<Device>,
  { shared, modalities, methods }: Experiment,
): Promise<void> {
  if (methods.every(({ method }) => classifies(method))) return;
  if (modalities.every((one) => !isAny(one) && parseSubset(one).length === 1)) return;
  const { data, labels, affine, out } = shared;
  if (!(await openRunData(shared, null, () => undefined)).split.test.length) return;
  say("the table of fifteen: each subset of the contrasts, with the network that predict.js would choose");
  await scoreSubsets(open, { model: out, data, affine, ...(labels && { labels }) });
}

/**
 * The stages with the contrasts of their teachers. Throws before anything is trained: a DataError where no
 * case to train on has what a network sees, a UsageError for a given teacher that cannot teach all of them.
 */
async function checkedStages(experiment: Experiment, replace: boolean): Promise<TrainConfig[]> {
  const methods = await Promise.all(experiment.methods.map(withTeachers));
  const planned = stagesOf({ ...experiment, methods });
  const stages = await Promise.all(planned.map((stage) => withAnyContrasts(stage)));
  const given = givenTeacher(methods);
  const taught = stages.filter(({ method, ...config }) => usesTeacher(method, config));
  const students = taught.flatMap(({ modality }) => (modality === null ? [] : [contrastsIn(modality)]));
  for (const [i, stage] of stages.entries()) {
    const folder = join(stage.out, stageName(stage));
    if (!replace && (await isFinished(folder))) await checkResults(folder);
    if (stage.stage === "teacher") stages[i] = await withContrasts(stage, { students, replace });
    else if (given !== null) await readTeacher(stage);
    const isFirst = stages.findIndex(({ modality }) => modality === stage.modality) === i;
    if (stage.stage === "student" && isFirst) await checkStageCases(stage);
  }
  return stages;
}

/** Students with commas between: the contrasts of each, "all" single contrasts, or all proper "subsets". */
function modalitiesOf(text: string): string[] {
  const names = text.split(",").flatMap((one) => {
    if (one === "all") return MODALITIES;
    return one === "subsets" ? ALL_SUBSETS.slice(0, -1) : studentOf("--modality", one);
  });
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new UsageError(`--modality ${text}: names the student of ${twice} twice`);
  return [...ALL_SUBSETS.filter((name) => names.includes(name)), ...names.filter(isAny)];
}

/** "0,1,2". */
function seedsOf(text: string): number[] {
  const { schema, limits } = SETTINGS.seed;
  const seeds = text.split(",").map((part) => (/^\d+$/.test(part) ? Number(part) : NaN));
  if (!seeds.every((seed) => v.is(schema, seed)) || new Set(seeds).size < seeds.length)
    throw new UsageError(`--seeds: expected different integers from ${limits}, like 0,1,2, got ${text}`);
  return seeds;
}
